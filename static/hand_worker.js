// A Web Worker that computes for the page's: one call at a time. See static/hand.py.
import { copied, loadPython } from "./python.js";

/** @type {any} */
let hand;

self.onmessage = async ({ data }) => {
  try {
    if (data.python) {
      const pyodide = await loadPython(data.python);
      hand = pyodide.pyimport("static.hand");
      hand.warm_up();
      self.postMessage({});
      return;
    }
    const answered = hand.answered(data.bytes);
    const bytes = copied(answered);
    answered.destroy();
    self.postMessage({ bytes }, { transfer: [bytes.buffer] });
  } catch (error) {
    self.postMessage({ failed: String(error) });
  }
};
