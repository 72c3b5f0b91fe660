// The live component: picks the frame, keeps its settings in step with the page, and tells the reader when the
// server is away. A frame draws what the server computed; it computes nothing itself.
import { openChannel } from "./channel.js";
import { Chapter } from "./chapter.js";
import { element } from "./controls.js";
import { Race } from "./race.js";
import { Reports } from "./reports.js";
import { watchContrast } from "./theme.js";

/**
 * @param {HTMLElement | ShadowRoot} root where the component lives
 * @param {Record<string, any>} data what the page hands over: see live/messages.py, opening
 * @param {typeof openChannel} [connect] another transport
 */
export function mount(root, data, connect = openChannel) {
  const container = /** @type {HTMLElement} */ (root.querySelector(".lab"));
  const status = element(container, "p", "status", { role: "status" });
  /** @type {(name: string, value: any) => void} */
  let report = () => {};
  const reports = new Reports(/** @type {any} */ (data), (values) => report("values", values));

  const Frame = data.picture === "lab" ? Race : Chapter;
  const picture = new Frame(
    container,
    { ...data, values: reports.begun },
    {
      // The gesture has ended: Python hears of it, and so the address.
      commit: (/** @type {any} */ values) => reports.report(values),
      ask: (/** @type {any} */ message) => channel.send(message),
    },
  );
  const channel = connect(data.channel, {
    onOpen: () => picture.connected(),
    onMessage: (/** @type {any} */ message) => picture.receive(message),
    onState(/** @type {string} */ state) {
      status.textContent = state === "open" ? "" : "The server is away; the picture goes on when it is back …";
      container.classList.toggle("away", state !== "open");
    },
  });
  const sizes = new ResizeObserver(() => picture.draw());
  sizes.observe(container);
  const unwatch = watchContrast(() => picture.repaint());
  container.removeAttribute("aria-busy");

  return {
    /** @param {Record<string, any>} next @param {(name: string, value: any) => void} setStateValue */
    update(next, setStateValue) {
      report = setStateValue;
      const news = reports.hear(/** @type {any} */ (next));
      if (news) picture.apply(news);
      picture.repaint(); // the theme may have changed
    },
    destroy() {
      sizes.disconnect();
      unwatch();
      picture.destroy();
      channel.close();
    },
  };
}
