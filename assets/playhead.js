// Where a race is shown: the playhead, how far it has been, and how long the axis of steps is.

export const LAST = 2000; // steps, as in book/race/settings.py
const LEAST = 200;
const USED = 0.9; // what has been shown fills so much of the axis; there is always room to go on
const LONGEST_FRAME = 0.25; // seconds of play a frame: a page that was hidden doesn't leap

export class Playhead {
  constructor() {
    this.place = 0; // where it is wanted; what is shown may be behind, while it is computed
    this.furthest = 0;
    this.until = 0; // the step at which the race is judged; 0: it isn't
    this.playing = false;
    /** @type {number | undefined} */
    this.kept = undefined; // the end of the axis while a finger is on it
    /** @type {number | undefined} */
    this.last = undefined;
  }

  // Another race: what was shown of the last one says nothing about this one.
  /** @param {number} place @param {number} until */
  begin(place, until) {
    this.furthest = 0;
    this.until = until;
    this.release();
    this.go(place);
  }

  /** @param {number} step */
  go(step) {
    this.place = Math.max(0, Math.min(step, LAST));
    this.furthest = Math.max(this.furthest, this.wanted);
  }

  get wanted() {
    return Math.floor(this.place);
  }

  // The axis doesn't move under a finger.
  hold() {
    this.kept ??= this.horizon;
  }

  release() {
    this.kept = undefined;
  }

  get held() {
    return this.kept !== undefined;
  }

  get horizon() {
    return this.kept ?? Math.min(LAST, Math.max(LEAST, this.until, Math.ceil(this.furthest / USED)));
  }

  // Where a race that is played stops: at the step at which it is judged, if it was played up to there.
  get stop() {
    return this.wanted < this.until ? this.until : LAST;
  }

  /**
   * Plays on for one frame of the screen.
   *
   * @param {number} now milliseconds
   * @param {number} speed steps a second
   * @param {number} reached the latest step that can be shown
   * @returns {boolean} whether it has come to where it stops
   */
  advance(now, speed, reached) {
    const seconds = Math.min(LONGEST_FRAME, (now - (this.last ?? now)) / 1000);
    this.last = now;
    const { stop } = this;
    this.go(Math.min(this.place + seconds * speed, Math.max(reached, this.wanted), stop));
    return this.place >= stop;
  }

  rest() {
    this.last = undefined;
  }
}
