// The transport, one small seam: send(message) up; onOpen, onMessage({header fields, arrays}) and
// onState("open" | "away") down. Another transport only has to offer the same.

const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 4000;

export function openChannel(path, { onOpen, onMessage, onState }) {
  const address = new URL(path, location.origin);
  address.protocol = address.protocol.replace("http", "ws");
  let socket;
  let retry = FIRST_RETRY_MS;
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

// Header length (uint32), header (JSON), float32 numbers: live/messages.py describes it.
function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  let start = 4 + length;
  const arrays = {};
  for (const [name, shape] of header.arrays) {
    const count = shape.reduce((a, b) => a * b, 1);
    arrays[name] = new Float32Array(buffer, start, count);
    start += 4 * count;
  }
  return { ...header, arrays };
}
