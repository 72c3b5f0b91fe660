// The book's modules as bytecode, compiled by the very Python that runs in browsers, here in Node. The folder of Pyodide,
// NumPy's wheel, the archive of sources and the archive to make are its arguments; static/bytecode.py runs it.
import { readFileSync, writeFileSync } from "node:fs";

const [folder, wheel, book, to] = process.argv.slice(2);
const PROGRAM = `
import io, py_compile, sys, zipfile
sys.path.insert(0, "/book")
import static.hand, static.shell
import live.worker
from book.registry import pages
from bnlib.data import load
pages()
load("digits")
files = {getattr(module, "__file__", None) or "" for module in list(sys.modules.values())}
how = py_compile.PycInvalidationMode.UNCHECKED_HASH
packed = io.BytesIO()
with zipfile.ZipFile(packed, "w") as archive:
    for file in sorted(files):
        if file.startswith("/book/"):
            compiled = py_compile.compile(file, doraise=True, invalidation_mode=how)
            archive.write(compiled, compiled.removeprefix("/book/"))
packed.getvalue()
`;

try {
  const { loadPyodide } = await import(`${folder}/pyodide.mjs`);
  const python = await loadPyodide({ indexURL: `${folder}/`, env: { PYTHONHASHSEED: "0" }, fullStdLib: false });
  python.unpackArchive(new Uint8Array(readFileSync(wheel)), "wheel");
  python.unpackArchive(new Uint8Array(readFileSync(book)), "zip", { extractDir: "/book" });
  writeFileSync(to, python.runPython(PROGRAM).toJs());
} catch (error) {
  console.error(String(error?.message ?? error).slice(-2000)); // not the line of Pyodide's script: it has a megabyte
  process.exitCode = 1;
}
