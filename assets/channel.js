// The transport, one small seam: send(message) up; onOpen, onMessage({header fields, arrays}) and
// onState("open" | "away") down. Another transport only has to offer the same.

/** @typedef {Float32Array | Uint8Array} Packed */
/** @typedef {Record<string, any> & { kind: string, arrays?: Record<string, Float32Array>, bytes?: Uint8Array }} Message */

const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 4000;

/**
 * @param {string} path
 * @param {{
 *   onOpen: () => void,
 *   onMessage: (message: Message) => void,
 *   onState: (state: "open" | "away") => void,
 * }} listener
 */
export function openChannel(path, { onOpen, onMessage, onState }) {
  const address = new URL(path, location.origin);
  address.protocol = address.protocol.replace("http", "ws");
  /** @type {WebSocket} */
  let socket;
  let retry = FIRST_RETRY_MS;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let closed = false;

  function connect() {
    socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      retry = FIRST_RETRY_MS;
      onState("open");
      onOpen();
    };
    socket.onmessage = ({ data }) => onMessage(typeof data === "string" ? JSON.parse(data) : unpack(data));
    socket.onclose = () => {
      if (closed) return;
      onState("away");
      timer = setTimeout(connect, retry * (0.75 + Math.random() / 2));
      retry = Math.min(2 * retry, LONGEST_RETRY_MS);
    };
  }
  connect();

  return {
    /** @param {object} message */
    send(message) {
      if (socket.readyState !== WebSocket.OPEN) return false;
      socket.send(JSON.stringify(message));
      return true;
    },
    close() {
      closed = true;
      clearTimeout(timer);
      socket.close();
    },
  };
}

/**
 * Header length (uint32), header (JSON), float32 numbers or bytes ("u1"): live/wire.py describes it. Where the header's
 * figures or panels have {"$": k} instead of an array, they get the k-th; one of several dimensions as a list of its
 * rows, those of a picture with red, green and blue in turn. Where it says how many "bytes" follow, it gets them.
 *
 * @param {ArrayBuffer} buffer
 * @returns {Message}
 */
export function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  let start = 4 + length;
  /** @type {Record<string, any>} */
  const arrays = {};
  /** @type {(Packed | Packed[])[]} */
  const placed = [];
  for (const [name, shape, kind] of /** @type {[string, number[], string?][]} */ (header.arrays)) {
    const count = shape.reduce((a, b) => a * b, 1);
    const array = kind ? new Uint8Array(buffer, start, count) : new Float32Array(buffer, start, count);
    arrays[name] = array;
    placed.push(shape.length > 1 ? rows(array, shape[0], count / (shape[0] || 1)) : array);
    start += kind ? 4 * Math.ceil(count / 4) : 4 * count;
  }
  if (header.bytes) header.bytes = new Uint8Array(buffer, start, header.bytes);
  for (const part of ["figures", "panels"]) if (header[part]) header[part] = filled(header[part], placed);
  return { ...header, arrays };
}

/**
 * @param {Packed} array
 * @param {number} count
 * @param {number} width
 */
const rows = (array, count, width) =>
  Array.from({ length: count }, (_, row) => array.subarray(row * width, (row + 1) * width));

/**
 * @param {any} node
 * @param {(Packed | Packed[])[]} arrays
 * @returns {any}
 */
function filled(node, arrays) {
  if (Array.isArray(node)) return node.map((part) => filled(part, arrays));
  if (node === null || typeof node !== "object") return node;
  if ("$" in node) return arrays[node.$];
  return Object.fromEntries(Object.entries(node).map(([name, part]) => [name, filled(part, arrays)]));
}
