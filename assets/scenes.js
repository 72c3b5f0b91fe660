// A chapter's scenes: the row of them, the question with its answers, and what is said once one has been given.
import { button, element } from "./controls.js";

/**
 * @typedef {{name: string, title: string, question: string, choices: string[], task: string, controls: string[],
 *   walk: Record<string, string>, start: Record<string, any>}} Scene
 * @typedef {{right: number, said: string, credit: string, because: string, but: string, holds: boolean,
 *   reveal: Record<string, any>}} Story
 */

export class Scenes {
  /**
   * @param {HTMLElement} parent
   * @param {import("./chapter.js").Chapter} chapter
   * @param {Scene[]} story
   */
  constructor(parent, chapter, story) {
    this.chapter = chapter;
    this.story = story;
    this.told = "";
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
    this.box = element(parent, "section", "prediction", { "aria-label": "Prediction" });
    const { box } = this;
    this.question = element(box, "h2");
    this.choices = element(box, "div", "choices", { role: "group", "aria-label": "Your prediction" });
    this.said = element(box, "div", "said", { role: "status", tabindex: -1 });
    const ways = element(box, "div", "ways");
    this.back = button(ways, "← Back", "Back to the scene before", () => chapter.move(-1));
    this.next = button(ways, "Next →", "Next scene", () => chapter.move(1));
    button(ways, "Start over", "Start over with this scene", () => chapter.startOver());
    this.help = button(ways, "?", "Keys", () => chapter.keys.toggle());
    this.help.setAttribute("aria-expanded", "false");
  }

  /** @param {Scene} scene */
  show(scene) {
    const { chapter, story, tabs } = this;
    story.forEach((one, i) => {
      const answered = chapter.guess(one.name) !== undefined;
      if (one === scene) tabs[i].setAttribute("aria-current", "step");
      else tabs[i].removeAttribute("aria-current");
      tabs[i].classList.toggle("answered", answered);
      tabs[i].setAttribute("aria-label", `${one.title}${answered ? ", answered" : ""}`);
    });
    this.centre();
    this.question.textContent = scene.question || scene.title;
    this.back.disabled = scene === story[0];
    this.next.disabled = scene === story.at(-1);
    this.next.classList.toggle("main", !chapter.open && !this.next.disabled);
    this.tell(scene);
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
    const story = guess === undefined ? undefined : chapter.stories[scene.name];
    const state = JSON.stringify([scene.name, guess, story]);
    if (this.told === state) return;
    this.told = state;
    this.offer(scene, guess, story);
    this.said.replaceChildren();
    if (guess !== undefined && story) this.answer(scene, guess, story);
    else
      element(
        this.said,
        "p",
        "task",
        {},
        guess !== undefined
          ? "It is being measured …"
          : chapter.open
            ? "Choose an answer; then it is measured."
            : scene.task,
      );
  }

  /** @param {Scene} scene @param {number | undefined} guess @param {Story | undefined} story */
  offer(scene, guess, story) {
    this.choices.replaceChildren();
    scene.choices.forEach((label, i) => {
      const answer = button(this.choices, "", label, () => this.chapter.predict(i));
      if (guess === undefined) element(answer, "kbd", "", { "aria-hidden": "true" }, i + 1);
      answer.append(label);
      answer.dataset.choice = String(i);
      if (guess === undefined) return;
      answer.disabled = true;
      answer.classList.toggle("right", i === story?.right);
      answer.classList.toggle("chosen", i === guess);
      const marks = [i === guess ? "your prediction" : "", i === story?.right ? "measured" : ""].filter(Boolean);
      if (marks.length) answer.setAttribute("aria-label", `${label}: ${marks.join(", ")}`);
    });
  }

  // What is right about the answer, what was measured, why, and where that ends.
  /** @param {Scene} scene @param {number} guess @param {Story} story */
  answer(scene, guess, story) {
    const line = element(this.said, "p");
    element(line, "b", "", {}, guess === story.right ? "As you said. " : `You said “${scene.choices[guess]}”. `);
    if (story.credit) line.append(`${story.credit} `);
    // The reveal has gone when other settings are chosen: what was said of it is then said of the past.
    line.append(story.holds ? `${story.said} ` : `Measured at the reveal: ${story.said} `, story.because);
    if (story.but) {
      const limit = element(this.said, "p", "but");
      element(limit, "b", "", {}, "But: ");
      limit.append(story.but);
    }
    if (scene.task) element(this.said, "p", "task", {}, scene.task);
  }
}
