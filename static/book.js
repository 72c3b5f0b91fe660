// Where the edition without a server begins: every page loads this.
import { Frame } from "./frame.js";

const book = JSON.parse(document.getElementById("book")?.textContent ?? "{}");
new Frame(book, new URL("../", import.meta.url)).begin();
