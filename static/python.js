// Python in a Web Worker: its files are fetched side by side, each once, and counted as they come; then it is started
// with NumPy and the book's own modules.

const NUMPY = "numpy";
const LOCK = "pyodide-lock.json";
const BOOK = "book.zip";
const PLACE = "/book"; // where the book's modules are unpacked
const EVERY_MS = 100; // between two words on how far it is
const WASM = "application/wasm";

/**
 * @typedef {(done: number, of: number, what: string) => void} Progress bytes, and what comes
 * @typedef {(input: any, options?: any) => Promise<Response>} Fetch
 */

/** A file can't be had. */
export class Missing extends Error {}

/** Files on their way; Pyodide gets them from here where it would fetch them. */
export class Files {
  /**
   * @param {string} folder
   * @param {Fetch} fetch
   * @param {Progress} [onProgress]
   */
  constructor(folder, fetch, onProgress = () => {}) {
    this.folder = folder;
    this.fetch = fetch;
    this.onProgress = onProgress;
    /** @type {Map<string, Promise<Response>>} */
    this.coming = new Map();
    /** @type {Map<string, {done: number, of: number}>} */
    this.sizes = new Map();
    this.told = Number.NEGATIVE_INFINITY;
    /** @type {(error: Error) => void} */
    this.lose = () => {};
    // Fails as soon as a file is missing: Pyodide would wait for some of them for ever.
    /** @type {Promise<never>} */
    this.lost = new Promise((_, fail) => {
      this.lose = fail;
    });
    this.lost.catch(() => {});
  }

  /** @param {string} name */
  begin(name) {
    const coming = this.get(name);
    coming.catch((error) => this.lose(new Missing(`${name}: ${error}`)));
    this.coming.set(this.folder + name, coming);
  }

  /** @param {string} name */
  async get(name) {
    const response = await this.fetch(this.folder + name);
    if (!response.ok) throw new Missing(`${response.status}`);
    this.count(name, response);
    if (!name.endsWith(".wasm") || response.headers.get("content-type") === WASM) return response;
    return new Response(response.body, { headers: { "content-type": WASM } });
  }

  // A copy is read, so that the browser can keep what it has compiled of the file itself.
  /** @param {string} name @param {Response} response */
  async count(name, response) {
    const packed = response.headers.has("content-encoding");
    const size = { done: 0, of: packed ? 0 : Number(response.headers.get("content-length")) };
    this.sizes.set(name, size);
    const reader = response.clone().body?.getReader();
    try {
      for (let part = await reader?.read(); part?.value; part = await reader?.read()) {
        size.done += part.value.length;
        size.of = Math.max(size.of, size.done);
        this.tell();
      }
      this.tell(true);
    } catch (error) {
      this.lose(new Missing(`${name}: ${error}`));
    }
  }

  tell(last = false) {
    const now = performance.now();
    if (!last && now - this.told < EVERY_MS) return;
    this.told = now;
    let [done, of] = [0, 0];
    for (const size of this.sizes.values()) {
      done += size.done;
      of += size.of;
    }
    this.onProgress(done, of, done < of ? "Python is loading" : "Python is starting");
  }

  /**
   * In place of the worker's own `fetch`: what is on its way is handed out, once.
   *
   * @param {any} input
   * @param {any} [options]
   * @returns {Promise<Response>}
   */
  take(input, options) {
    const address = String(input?.url ?? input);
    const coming = this.coming.get(address);
    if (!coming) return this.fetch(input, options);
    this.coming.delete(address);
    return coming;
  }

  /** @param {string} name */
  async bytes(name) {
    return new Uint8Array(await (await this.take(this.folder + name)).arrayBuffer());
  }
}

/**
 * @param {string} folder the address of Pyodide's files, NumPy's wheel and the book, with a slash at its end
 * @param {Progress} [onProgress]
 * @returns {Promise<any>} Pyodide, in which the book's modules can be imported
 * @throws {Missing}
 */
export async function loadPython(folder, onProgress) {
  const own = globalThis.fetch.bind(globalThis);
  const files = new Files(folder, own, onProgress);
  globalThis.fetch = (input, options) => files.take(input, options);
  try {
    return await Promise.race([start(files), files.lost]);
  } finally {
    globalThis.fetch = own;
  }
}

/** @param {Files} files */
async function start(files) {
  for (const name of ["pyodide.asm.wasm", "python_stdlib.zip", LOCK, BOOK]) files.begin(name);
  const scripts = Promise.all([script(files, "pyodide.js"), script(files, "pyodide.asm.js")]);
  scripts.catch(() => {}); // told below, unless something else is missing before
  const lockFileContents = JSON.parse(new TextDecoder().decode(await files.bytes(LOCK)));
  const wheel = lockFileContents.packages[NUMPY].file_name;
  files.begin(wheel);
  const [{ loadPyodide }] = await scripts;
  const pyodide = await loadPyodide({ indexURL: files.folder, lockFileContents });
  // All of it comes from one folder, and was verified when that was made.
  pyodide.unpackArchive(await files.bytes(wheel), "wheel");
  pyodide.unpackArchive(await files.bytes(BOOK), "zip", { extractDir: PLACE });
  pyodide.pyimport("sys").path.insert(0, PLACE);
  return pyodide;
}

/** @param {Files} files @param {string} name */
async function script(files, name) {
  try {
    return await import(files.folder + name);
  } catch (error) {
    throw new Missing(`${name}: ${error}`);
  }
}

/**
 * @param {any} view bytes of Python's
 * @returns {Uint8Array<ArrayBuffer>} a copy, which can be handed over
 */
export function copied(view) {
  const buffer = view.getBuffer("u8");
  try {
    return buffer.data.slice();
  } finally {
    buffer.release();
  }
}
