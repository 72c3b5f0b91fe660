// The live component: picks the picture, keeps its settings in step with the page, and tells the reader
// when the server is away. A picture draws what the server computed; it computes nothing itself.
import { openChannel } from "./channel.js";
import { OneBatch } from "./batch.js";
import { Chapter } from "./chapter.js";
import { Race } from "./race.js";

const PICTURES = { batch: OneBatch, one_batch: Chapter, lab: Race };

export function mount(root, data) {
  const container = root.querySelector(".lab");
  const status = element(container, "p", "status", { role: "status" });
  let report = () => {};
  let echoesDue = [];
  let shown = JSON.stringify(data.values);

  const picture = new PICTURES[data.picture](container, data, {
    // The gesture has ended: Python hears of it, and so the address.
    commit(values) {
      shown = JSON.stringify(values);
      echoesDue.push(shown);
      report("values", values);
    },
    ask: (message) => channel.send(message),
  });
  const channel = openChannel(data.channel, {
    onOpen: () => picture.connected(),
    onMessage: (message) => picture.receive(message),
    onState(state) {
      status.textContent = state === "open" ? "" : "The server is away; the picture goes on when it is back …";
      container.classList.toggle("away", state !== "open");
    },
  });
  const sizes = new ResizeObserver(() => picture.draw());
  sizes.observe(container);
  container.removeAttribute("aria-busy");

  return {
    update(next, setStateValue) {
      report = setStateValue;
      const values = JSON.stringify(next.values);
      const echo = echoesDue.indexOf(values);
      if (echo >= 0) {
        echoesDue = echoesDue.slice(echo + 1); // what we said ourselves, a little later
      } else if (values !== shown) {
        shown = values; // the address changed under us: another link, the back button
        picture.apply(next.values);
      }
      picture.repaint(); // the theme may have changed
    },
    destroy() {
      sizes.disconnect();
      picture.destroy();
      channel.close();
    },
  };
}

function element(parent, tag, className, attributes = {}) {
  const node = document.createElement(tag);
  node.className = className;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return parent.appendChild(node);
}
