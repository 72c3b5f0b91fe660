// A picture that was asked for and doesn't come: the one before is marked as what it is.

const LATE_MS = 400; // from then on it is missed

export class Late {
  /** @param {HTMLElement} frame gets the class "late" */
  constructor(frame) {
    this.frame = frame;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
  }

  asked() {
    this.timer ??= setTimeout(() => this.frame.classList.add("late"), LATE_MS);
  }

  answered() {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.frame.classList.remove("late");
  }
}
