// A page's recorded beginning: what the very same session answered when this folder was built. An answer is used only
// where the question is exactly the same.
import { unpack } from "../assets/channel.js";

/**
 * @import { Message } from "../assets/channel.js"
 * @typedef {[start: number, length: number, kind: "text" | "bytes"]} Part of the file, behind its header
 * @typedef {object} Reply
 * @property {Record<string, any>} ask the message that it answers, without its number
 * @property {Part[]} parts
 * @property {number} [reached] of a race: the last step that is recorded of all its lanes
 * @property {number} [of] of a verdict: the place of its race among the replies
 * @typedef {object} Arrived what static/shell.py answers to "arrive"; beside: to "beside"
 * @property {Record<string, any>} opening what the picture is given, live/messages.py
 * @property {Record<string, any>} values
 * @property {Record<string, string>} address
 * @property {string} note
 * @property {string[]} problems
 * @property {boolean} paused
 * @property {boolean} opens whether the address is spelled out
 * @property {import("./below.js").Beside} [beside]
 */

const GZIP = [0x1f, 0x8b];

/**
 * A value as text, the same whatever the order of its names.
 *
 * @param {any} value
 * @returns {string}
 */
export function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value) ?? "null";
  const names = Object.keys(value).sort();
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join()}}`;
}

/**
 * An address's settings as a name for its opening.
 *
 * @param {Record<string, string>} query
 */
export function nameOf(query) {
  const names = Object.keys(query).sort();
  return names.map((name) => `${encodeURIComponent(name)}=${encodeURIComponent(query[name])}`).join("&");
}

// What a message asks, whatever its number. All that is recorded of a race comes at once, however far it was asked for.
/** @param {Record<string, any>} message */
function question(message) {
  const { id, ...asked } = message;
  if (asked.kind === "lab") delete asked.until;
  return canonical(asked);
}

export class Recorded {
  /** @param {ArrayBuffer} file */
  constructor(file) {
    const length = new DataView(file).getUint32(0, true);
    const { openings, replies } = JSON.parse(new TextDecoder().decode(new Uint8Array(file, 4, length)));
    this.bytes = file.slice(4 + length);
    /** @type {Record<string, Arrived>} */
    this.openings = openings;
    /** @type {Reply[]} */
    this.replies = replies;
    /** @type {Map<string, Reply[]>} */
    this.known = new Map();
    for (const reply of this.replies) {
      const key = question(reply.ask);
      this.known.set(key, [...(this.known.get(key) ?? []), reply]);
    }
  }

  /**
   * @param {Record<string, string>} query
   * @returns {Arrived | undefined} undefined where this address wasn't recorded
   */
  opening(query) {
    const bare = this.openings[""];
    const found = this.openings[nameOf(query)];
    if (!found || !bare) return undefined;
    return structuredClone({ ...bare, ...found, opening: { ...bare.opening, ...found.opening } });
  }

  /**
   * @param {Record<string, any>} message
   * @param {Reply} [race] the recorded race on the screen: verdicts are of it
   * @returns {Reply | undefined}
   */
  find(message, race) {
    if (message.kind !== "verdict") return this.known.get(question(message))?.[0];
    const place = race ? this.replies.indexOf(race) : -1;
    return this.known.get(question(message))?.find(({ of }) => of === place);
  }

  /**
   * @param {Reply} reply
   * @param {number} id the number of the question
   * @returns {Message[]}
   */
  messages({ parts }, id) {
    return parts.map(([start, length, kind]) => {
      const part = this.bytes.slice(start, start + length);
      const message = kind === "text" ? JSON.parse(new TextDecoder().decode(part)) : unpack(part);
      return "id" in message ? { ...message, id } : message;
    });
  }
}

/**
 * @param {URL} address
 * @returns {Promise<Recorded | undefined>} undefined where there is none: Python then answers alone
 */
export async function fetchRecorded(address) {
  try {
    const answer = await fetch(address);
    return answer.ok ? new Recorded(await unzipped(await answer.arrayBuffer())) : undefined;
  } catch {
    return undefined;
  }
}

/** @param {ArrayBuffer} file @returns {Promise<ArrayBuffer>} */
async function unzipped(file) {
  const head = new Uint8Array(file, 0, Math.min(2, file.byteLength));
  if (GZIP.some((byte, i) => head[i] !== byte)) return file;
  const text = new Blob([file]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(text).arrayBuffer();
}
