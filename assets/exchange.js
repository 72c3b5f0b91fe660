// The exchange of races with the server: asking for one, receiving its frames, and putting it on the screen in place
// of the one before.
import { Lanes } from "./frames.js";
import { isLong, Rate, words } from "./waits.js";

/**
 * @import { Race } from "./race.js"
 * @typedef {{draft: boolean, header?: Record<string, any>, lanes?: Lanes, arrived: number}} Coming a race that was asked
 *   for; arrived: seconds after which the latest of its lanes had its first frame
 */

const PATIENCE_MS = 900; // how long the old picture stays while a new race catches up
const LONG_PATIENCE_MS = 8000;
const CATCHING_UP_MS = 100;
const PORTION = 60; // steps
const BEND_MS = 90; // a bending curve is drawn so often, with as many steps as can be had in that time
const LEAST_BEND = 20;
const MOST_BEND = 200;
const REST_MS = 600;
const BUSY_AFTER_MS = 250;
const BUSY_EVERY_MS = 500; // nobody reads faster
const VERDICT_EVERY_MS = 500;
const VERDICT_LOST_MS = 10_000; // after so long another one is asked for

export class Exchange {
  /** @param {Race} race */
  constructor(race) {
    this.race = race;
    this.number = 0;
    this.answered = 0; // of the latest "lab": frames belong to it
    this.refused = false; // the race that was asked for last is more than can be shown
    this.redrawnAt = 0;
    /** @type {Coming | undefined} */
    this.coming = undefined;
    /** @type {Coming | undefined} */
    this.current = undefined;
    this.until = 0; // how far the server was asked to compute
    this.askedAt = 0;
    this.bend = MOST_BEND;
    this.draftDue = false;
    this.rate = new Rate();
    this.sharing = 0; // networks that the server computes in turn, where it is more than these
    /** @type {number | undefined} */
    this.busySince = undefined;
    this.saidAt = 0;
    this.verdictAt = 0;
    this.verdictFor = "";
    /** @type {number | undefined} */
    this.judged = undefined; // the step of the verdict that was asked for last, until it is told
    /** @type {any} */
    this.said = undefined; // that verdict, until its step is shown
  }

  /** @returns {Lanes | undefined} the race on the screen */
  get shown() {
    return this.current?.lanes;
  }

  // ---- asking -----------------------------------------------------------------------------------------------------

  // While a slider moves: the same race at every tenth step, one after another as fast as they come.
  askDraft() {
    this.draftDue = true;
    if (this.coming?.draft && performance.now() - this.askedAt < PATIENCE_MS) return;
    this.draftDue = false;
    this.ask(true);
  }

  ask(draft = false) {
    const { race } = this;
    if (!draft) this.draftDue = false;
    this.until = draft ? Math.max(this.bend, race.head.wanted) : this.wanted();
    this.number += 1;
    this.refused = false;
    // A step of -1 is a bare address: the settings on the page are never that.
    const values = { ...race.values, step: race.head.wanted };
    const sent = race.send({
      ...{ kind: "lab", id: this.number, values, until: this.until, draft },
      narrow: race.narrow,
    });
    this.coming = sent ? { draft, arrived: 0 } : undefined;
    this.askedAt = performance.now();
    this.rate.begin(this.askedAt, -1);
    this.judged = undefined;
    this.said = undefined;
    race.verdict.fade();
  }

  // Only how the race is looked at has changed: other templates for the same frames.
  askPanels() {
    const { values, narrow } = this.race;
    this.race.send({ kind: "panels", id: this.number, values, narrow });
  }

  // A verdict on the step that is shown. While it plays, on a validation a little ahead, so that it is there in time,
  // one after another; all who watch then ask the same.
  /** @param {number} now */
  askVerdict(now) {
    const { race, shown } = this;
    if (!shown || shown.draft || this.coming || this.refused || race.open || shown.reached() < 0) return;
    const { head, playing } = race;
    let step = race.step();
    if (playing) {
      const soon = head.place + (race.values.speed * VERDICT_EVERY_MS) / 1000;
      step = Math.min(head.stop, Math.ceil(soon / shown.validateEvery) * shown.validateEvery);
      const waited = now - this.verdictAt;
      if (waited < VERDICT_EVERY_MS || (this.judged !== undefined && waited < VERDICT_LOST_MS)) return;
    }
    const moment = `${this.number}:${step}`;
    if (this.verdictFor === moment) return;
    this.verdictAt = now;
    this.verdictFor = moment;
    this.judged = step;
    this.said = undefined;
    if (!playing) race.verdict.fade();
    race.send({ kind: "verdict", id: this.number, step });
  }

  // The verdict that was asked for last; it is told when its step is shown.
  /** @param {any} message */
  hear(message) {
    if (message.step === this.judged) this.said = message;
  }

  tell() {
    const { said, race } = this;
    if (!said || this.coming || race.step() < said.step) return;
    this.said = undefined;
    this.judged = undefined;
    race.say(said);
  }

  // While it plays, in portions of a size that all who watch at this speed share: the server packs each once.
  wanted() {
    const { playing, values, head } = this.race;
    const portion = playing ? Math.max(PORTION, 2 * values.speed) : 1;
    const ahead = playing ? Math.max(2 * PORTION, 4 * values.speed) : 1;
    // What has bent under the finger stays on the screen, and so it is in the link.
    const least = values.before.length || values.edits.length ? MOST_BEND : 0;
    const step = Math.max(least, head.wanted + ahead);
    return Math.min(this.race.last, Math.ceil(step / portion) * portion);
  }

  // Asking for a little more at every frame would be many messages: it is asked in larger portions.
  askFurther() {
    const { race } = this;
    const wanted = this.wanted();
    const soon = wanted < this.until + 2 * race.values.speed && race.head.place < race.reached() - 5;
    if (wanted === this.until || (race.playing && (wanted < this.until || soon))) return;
    const reached = (this.coming ?? this.current)?.lanes?.reached() ?? -1;
    if (reached >= this.until || !race.playing) this.rate.begin(performance.now(), reached);
    this.until = wanted;
    race.send({ kind: "until", id: this.number, step: wanted });
  }

  // ---- receiving --------------------------------------------------------------------------------------------------

  // Whether a message is of the race that was asked for last. Frames are the same for all who watch: they have no
  // number, and belong to the latest "lab".
  /** @param {any} message */
  isDueTo(message) {
    if (message.kind === "lab") this.answered = message.id;
    return (message.kind === "frames" ? this.answered : message.id) === this.number;
  }

  // Of the race that was asked for last: "lab", "panels", "frames", "line", "cost", "verdict" or "problem".
  /** @param {any} message */
  receive(message) {
    const { coming } = this;
    if (message.kind === "verdict") {
      this.hear(message);
      return;
    }
    if (message.kind === "panels") {
      if (coming?.header) coming.header.panels = message.panels;
      else this.race.panels.take(message.panels);
      this.race.redraw();
      return;
    }
    if (message.kind === "line") {
      this.sharing = message.sharing;
      return;
    }
    if (message.kind === "problem") {
      if (message.of === "lab" && !coming?.lanes) this.coming = undefined; // it won't come
      return;
    }
    if (message.kind === "lab" && message.refused) {
      this.refused = true;
      this.coming = undefined;
      this.race.changes.refuse(message);
      return;
    }
    if (message.kind === "lab") {
      if (!coming) return;
      coming.header = message;
      coming.lanes = new Lanes({ ...message, draft: coming.draft });
      return;
    }
    const { lanes } = coming ?? this.current ?? {};
    if (!lanes) return;
    if (message.kind === "cost") lanes.lanes[message.lane].cost = message;
    else if (message.kind === "frames") this.append(lanes, message);
    if (this.isDue(lanes)) this.race.redraw();
  }

  // While a race that rests catches up, its pictures can wait: drawing takes the processor from computing.
  /** @param {Lanes} lanes */
  isDue(lanes) {
    const { race } = this,
      now = performance.now();
    const resting = !race.playing && !race.held && lanes.reached() >= 0 && lanes.reached() < race.head.wanted;
    if (resting && now - this.redrawnAt < CATCHING_UP_MS) return false;
    this.redrawnAt = now;
    return true;
  }

  /** @param {Lanes} lanes @param {any} message */
  append(lanes, message) {
    const first = lanes.reached(message.lane) < 0;
    lanes.append(message);
    if (message.ghost) return;
    const now = performance.now();
    const receiver = this.coming ?? this.current;
    if (first && receiver) receiver.arrived = (now - this.askedAt) / 1000;
    this.rate.note(now, lanes.reached());
  }

  // ---- taking over ------------------------------------------------------------------------------------------------

  /**
   * A new race replaces the one on the screen when it has come as far. When that takes too long, or where there is
   * none, the lanes that are ready are shown.
   *
   * @param {number} now
   * @returns {boolean} whether it did
   */
  takeOver(now) {
    const { coming, race } = this;
    if (!coming) return false;
    const waited = now - this.askedAt;
    const late = waited > (this.current?.draft && !coming.draft ? LONG_PATIENCE_MS : PATIENCE_MS);
    const taken = this.isReady(coming, late);
    if (taken) {
      if (coming.draft) this.bend = bent(this.bend, waited);
      this.current = coming;
      this.coming = undefined;
    }
    if (this.draftDue && (!this.coming || late)) this.askDraft();
    if (taken) race.take(coming.header ?? {});
    return taken;
  }

  /** @param {Coming} coming @param {boolean} late */
  isReady({ lanes, draft }, late) {
    if (!lanes) return false;
    const { head, drawn } = this.race;
    const reached = lanes.reached();
    const least = draft ? Math.max(head.wanted, this.bend) : Math.min(head.wanted, drawn);
    if (reached >= 0 && reached > least - lanes.every) return true;
    const some = lanes.lanes.some((_, lane) => lanes.reached(lane) >= 0);
    // A draft of these very settings is no old picture: it stays until the race in full has come as far.
    return some && (!this.shown || (late && (!draft || reached >= 0)));
  }

  // A finger that rests gets the race in full, also when it returns to where it began: no "change" then.
  /** @param {number} now */
  refine(now) {
    if (this.current?.draft && !this.coming && !this.refused && now - this.askedAt > REST_MS) this.ask();
  }

  // ---- waits ------------------------------------------------------------------------------------------------------

  // Whether a race is on its way for which the one on the screen is no draft.
  get exchanged() {
    return this.coming !== undefined && !this.coming.draft;
  }

  /** @param {number} now */
  wait(now) {
    const words = this.waiting(now);
    this.busySince = words ? (this.busySince ?? now) : undefined;
    const since = this.busySince;
    const shown = since !== undefined && now - since > BUSY_AFTER_MS;
    this.race.container.classList.toggle("exchanged", shown && this.exchanged);
    if (shown && now - this.saidAt < BUSY_EVERY_MS) return;
    if (shown) this.saidAt = now;
    this.race.bar.wait(shown ? words : "", shown && this.isLong());
  }

  // Whether what is left of the race takes long, and fewer seeds would make it shorter.
  isLong() {
    const { race } = this;
    const { lanes } = this.coming ?? this.current ?? {};
    if (!lanes || this.refused || race.values.replicas === 1) return false;
    const until = race.playing ? race.last : race.head.wanted;
    return isLong({ lanes: told(lanes), pace: this.rate.pace }, until - lanes.reached());
  }

  // What there is to wait for, in words.
  /** @param {number} now */
  waiting(now) {
    const { race, coming } = this;
    const awaited = coming ?? this.current;
    if (this.refused) return "more than can be shown here: nothing is computed";
    if (!awaited || awaited.draft) return "";
    const { lanes, arrived } = awaited;
    return words({
      lanes: lanes ? told(lanes) : [],
      waited: (now - this.askedAt) / 1000,
      arrived,
      reached: lanes?.reached() ?? -1,
      wanted: race.head.wanted,
      pace: this.rate.pace,
      speed: race.playing && !coming ? race.values.speed : 0,
      sharing: this.sharing,
    });
  }
}

/** @param {Lanes} lanes */
function told(lanes) {
  return lanes.lanes.map(({ name, cost }, lane) => ({
    ...{ name, cost: cost?.seconds },
    missing: lanes.reached(lane) < 0,
  }));
}

/** @param {number} bend @param {number} waited milliseconds that it took */
function bent(bend, waited) {
  const share = Math.min(1.2, Math.max(0.5, BEND_MS / waited));
  return Math.min(MOST_BEND, Math.max(LEAST_BEND, Math.round(bend * share)));
}
