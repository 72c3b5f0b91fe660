// Makes files of recorded beginnings, as the build does.

/**
 * @param {object} header
 * @param {number[]} numbers
 * @param {string} [name] of the numbers
 * @returns {Uint8Array} a binary message, as live/wire.py packs it
 */
export function packed(header, numbers, name = "numbers") {
  const text = JSON.stringify({ ...header, arrays: [[name, [numbers.length]]] });
  return framed(text, new Uint8Array(new Float32Array(numbers).buffer));
}

/** @param {string} text @param {Uint8Array} body */
function framed(text, body) {
  const head = new TextEncoder().encode(text + " ".repeat((4 - (text.length % 4)) % 4));
  const made = new Uint8Array(4 + head.length + body.length);
  new DataView(made.buffer).setUint32(0, head.length, true);
  made.set(head, 4);
  made.set(body, 4 + head.length);
  return made;
}

/**
 * @param {{openings?: object, replies?: {ask: object, says: (string | Uint8Array)[], of?: number, reached?: number}[]}} what
 * @returns {ArrayBuffer}
 */
export function file({ openings = {}, replies = [] }) {
  /** @type {Uint8Array[]} */
  const bytes = [];
  let start = 0;
  const listed = replies.map(({ says, ...reply }) => ({
    ...reply,
    parts: says.map((said) => {
      const part = typeof said === "string" ? new TextEncoder().encode(said) : said;
      bytes.push(part);
      start += part.length;
      return [start - part.length, part.length, typeof said === "string" ? "text" : "bytes"];
    }),
  }));
  const body = new Uint8Array(start);
  let at = 0;
  for (const part of bytes) {
    body.set(part, at);
    at += part.length;
  }
  const made = framed(JSON.stringify({ openings, replies: listed }), body);
  return /** @type {ArrayBuffer} */ (made.buffer);
}
