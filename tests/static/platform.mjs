// Pyodide in Node: copies files into its memory and calls a function there.
//
//   node platform.mjs '{"python": folder, "wheel": path, "copy": [[from, to]...], "call": "module:function",
//                       "arguments": [...]}'
//
// python: the folder of Pyodide, wheel: its NumPy, copy: what Python finds below /house and /packages. The bytes that
// the function returns go to stdout, what Python prints meanwhile to stderr. No folder of this machine is mounted:
// what is written in there is gone afterwards.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

// Node tells of an error together with the line it comes from, and Pyodide is one line of a megabyte. When nobody
// reads any more what is said, that is an error, too: nothing may go on then.
process.on("uncaughtException", (error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
});

/**
 * Copies a file, or a folder without what is compiled for this machine.
 *
 * @param {{mkdirTree: (path: string) => void, writeFile: (path: string, bytes: Uint8Array) => void}} memory
 * @param {string} from
 * @param {string} to
 */
function copy(memory, from, to) {
  if (statSync(from).isDirectory()) {
    for (const name of readdirSync(from)) {
      if (name !== "__pycache__" && !name.endsWith(".so")) copy(memory, join(from, name), `${to}/${name}`);
    }
  } else {
    memory.mkdirTree(to.slice(0, to.lastIndexOf("/")));
    memory.writeFile(to, readFileSync(from));
  }
}

const plan = JSON.parse(process.argv[2]);
const { loadPyodide } = await import(pathToFileURL(join(plan.python, "pyodide.mjs")).href);
const aside = (/** @type {string} */ line) => process.stderr.write(`${line}\n`);
const python = await loadPyodide({ indexURL: plan.python, stdout: aside, stderr: aside, env: { HOME: "/house" } });
for (const [from, to] of plan.copy) copy(python.FS, from, to);
python.unpackArchive(new Uint8Array(readFileSync(plan.wheel)), "wheel", { extractDir: "/packages" });
python.runPython("import sys; sys.dont_write_bytecode = True; sys.path[:0] = ['/house', '/packages']");
const [module, name] = plan.call.split(":");
const answer = python.pyimport(module)[name](...plan.arguments);
process.stdout.write(answer.toJs());
