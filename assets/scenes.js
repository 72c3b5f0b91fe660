// Scenes: the question with its answers, and what is said once one has been given; and a chapter's row of scenes.
import { place, remembered, watch } from "./answers.js";
import { button, element } from "./controls.js";

/**
 * @typedef {{name: string, title: string, question: string, choices: string[], task: string, controls: string[],
 *   walk: Record<string, string>, start: Record<string, any>}} Scene
 * @typedef {{right: number, said: string, credit: string, because: string, but: string, holds: boolean,
 *   reveal: Record<string, any>}} Story
 * @typedef {object} Asked what the box shows
 * @property {string} name of the scene
 * @property {string} question
 * @property {string[]} choices
 * @property {number} [guess] the number of the choice; undefined where there is none
 * @property {Story} [story] once it is known and may be told
 * @property {string} waiting what is said as long as there is no story
 * @property {string} task what to try next
 * @property {boolean} open whether an answer is awaited
 * @property {[words: string, address: string][]} [read] where to read on
 */

// The box of a question. Chapters and the training lab have the same.
export class Prediction {
  /** @param {HTMLElement} parent @param {(number: number) => void} answer */
  constructor(parent, answer) {
    this.answer = answer;
    this.told = "";
    this.box = element(parent, "section", "prediction", { "aria-label": "Prediction" });
    this.question = element(this.box, "h2");
    this.choices = element(this.box, "div", "choices", { role: "group", "aria-label": "Your prediction" });
    this.said = element(this.box, "div", "said", { role: "status", tabindex: -1 });
    this.ways = element(this.box, "div", "ways");
  }

  /** @param {Asked} asked */
  show(asked) {
    const state = JSON.stringify(asked);
    if (this.told === state) return;
    this.told = state;
    const { question, story, open, waiting, task } = asked;
    this.box.classList.toggle("open", open);
    this.question.textContent = question;
    this.offer(asked);
    this.said.replaceChildren();
    if (story) this.tell(asked, story);
    else element(this.said, "p", "task", {}, waiting || task);
  }

  /** @param {Asked} asked */
  offer({ choices, guess, story, open }) {
    this.choices.replaceChildren();
    choices.forEach((label, i) => {
      const choice = button(this.choices, "", label, () => this.answer(i));
      if (open) element(choice, "kbd", "", { "aria-hidden": "true" }, i + 1);
      choice.append(label);
      choice.dataset.choice = String(i);
      if (open) return;
      choice.disabled = true;
      choice.classList.toggle("right", i === story?.right);
      choice.classList.toggle("chosen", i === guess);
      const marks = [i === guess ? "your prediction" : "", i === story?.right ? "measured" : ""].filter(Boolean);
      if (marks.length) choice.setAttribute("aria-label", `${label}: ${marks.join(", ")}`);
    });
  }

  // What is right about the answer, what was measured, why, where that ends, and where to read on.
  /** @param {Asked} asked @param {Story} story */
  tell({ choices, guess, task, read = [] }, story) {
    const line = element(this.said, "p");
    if (guess !== undefined) {
      element(line, "b", "", {}, guess === story.right ? "Right. " : `Not quite: you said “${choices[guess]}”. `);
      if (story.credit) line.append(`${story.credit} `);
    }
    line.append(`${story.said} ${story.because} `);
    // What was said of the reveal is said of the past when other settings are chosen. Room is kept for these words, so
    // that nothing below them moves under a finger.
    element(line, "span", story.holds ? "held" : "", {}, "(Measured with the settings of the answer, not with these.)");
    if (story.but) {
      const limit = element(this.said, "p", "but");
      element(limit, "b", "", {}, "But: ");
      limit.append(story.but);
    }
    if (read.length) links(element(this.said, "p", "read", {}, "Read on: "), read);
    if (task) element(this.said, "p", "task", {}, task);
  }
}

/**
 * Appends links, one after another.
 *
 * @param {HTMLElement} parent
 * @param {[words: string, address: string][]} read
 */
export function links(parent, read) {
  read.forEach(([words, href], i) => {
    if (i) parent.append(" · ");
    element(parent, "a", "", { href }, words);
  });
}

// A chapter's row of scenes, with the box of the present one's question.
export class Scenes {
  /**
   * @param {HTMLElement} parent
   * @param {import("./chapter.js").Chapter} chapter
   * @param {Scene[]} story
   */
  constructor(parent, chapter, story) {
    this.chapter = chapter;
    this.story = story;
    const nav = element(parent, "nav", "scenes", { "aria-label": "Scenes of this chapter" });
    this.list = element(nav, "ol");
    this.tabs = story.map((scene, i) => {
      const tab = element(element(this.list, "li"), "button", "", { type: "button", "data-scene": scene.name });
      element(tab, "span", "count", {}, String(i + 1));
      element(tab, "span", "title", {}, scene.title);
      tab.addEventListener("click", () => chapter.go(scene.name));
      return tab;
    });
    new ResizeObserver(() => this.centre()).observe(this.list);
    this.prediction = new Prediction(parent, (number) => chapter.predict(number));
    const { box, said, ways } = this.prediction;
    this.box = box;
    this.said = said;
    this.back = button(ways, "← Back", "Back to the scene before", () => chapter.move(-1));
    this.next = button(ways, "Next →", "Next scene", () => chapter.move(1));
    button(ways, "Start over", "Start over with this scene", () => chapter.startOver());
    this.help = button(ways, "?", "Keys", () => chapter.keys.toggle());
    this.unwatch = watch(() => this.mark());
  }

  /** @param {Scene} scene */
  show(scene) {
    const { story, tabs } = this;
    story.forEach((one, i) => {
      if (one === scene) tabs[i].setAttribute("aria-current", "step");
      else tabs[i].removeAttribute("aria-current");
    });
    this.mark();
    this.centre();
    this.back.disabled = scene === story[0];
    this.next.disabled = scene === story.at(-1);
    this.next.classList.toggle("main", !this.chapter.open && !this.next.disabled);
    this.tell(scene);
  }

  // Which scenes are answered: here, or at another time in this browser.
  mark() {
    const { chapter, story, tabs } = this;
    const kept = remembered();
    story.forEach(({ name, title }, i) => {
      const answered = chapter.guess(name) !== undefined;
      const before = !answered && kept.has(place(chapter.data.page, name));
      tabs[i].classList.toggle("answered", answered);
      tabs[i].classList.toggle("before", before);
      tabs[i].setAttribute("aria-label", `${title}${answered ? ", answered" : before ? ", answered before" : ""}`);
    });
  }

  // On a phone the scenes are a row that scrolls: the present one in its middle.
  centre() {
    const item = this.list.querySelector("[aria-current]")?.parentElement;
    if (item) this.list.scrollLeft = item.offsetLeft - (this.list.clientWidth - item.clientWidth) / 2;
  }

  /** @param {Scene} scene */
  tell(scene) {
    const { chapter } = this;
    const guess = chapter.guess();
    const { name, choices, task } = scene;
    this.prediction.show({
      ...{ name, choices, task, guess, open: chapter.open },
      question: scene.question || scene.title,
      story: guess === undefined ? undefined : chapter.stories[name],
      waiting:
        guess !== undefined ? "It is being measured …" : chapter.open ? "Choose an answer; then it is measured." : "",
    });
  }

  destroy() {
    this.unwatch();
  }
}
