import assert from "node:assert/strict";
import { test } from "node:test";
import { Pages, same, settings } from "../pages.js";

const PAGES = /** @type {any} */ ({
  home: { path: "" },
  one_batch: { path: "one-batch" },
  lab: { path: "training-lab" },
});
const ROOTS = ["http://127.0.0.1:8712/", "http://127.0.0.1:8712/course/bn/"];

for (const root of ROOTS) {
  const pages = new Pages(PAGES, new URL(root));

  test(`addresses lead to their pages below ${root}`, () => {
    for (const [address, name] of [
      ["", "home"],
      ["index.html", "home"],
      ["one-batch", "one_batch"],
      ["one-batch/", "one_batch"],
      ["one-batch/index.html", "one_batch"],
    ]) {
      assert.equal(pages.find(root + address)?.name, name, address);
    }
    assert.equal(pages.find(root.replace(/\/$/, ""))?.name, "home");
    assert.equal(pages.find(`${root}elsewhere/`), undefined);
    assert.equal(pages.find(`${root}one-batch/more`), undefined);
    assert.equal(pages.find("http://127.0.0.1:1/one-batch/"), undefined);
  });

  test(`an address is written as it is read below ${root}`, () => {
    const query = { scene: "tug", guesses: "tug:1,undo:0", moved: "0:1 é&=" };
    assert.deepEqual(pages.find(pages.address("one_batch", query))?.query, query);
    assert.equal(pages.address("home").href, root);
    assert.equal(pages.address("lab", { preset: "deep" }).href, `${root}training-lab/?preset=deep`);
  });

  test(`what chapters link to lies below ${root}`, () => {
    assert.equal(pages.link("/training-lab?experiment=E7"), `${root}training-lab/?experiment=E7`);
    assert.equal(pages.link("/"), root);
    assert.equal(pages.link("training-lab"), `${root}training-lab/`);
  });
}

test("another folder of the same host is none of the book", () => {
  assert.equal(new Pages(PAGES, new URL(ROOTS[1])).find(ROOTS[0]), undefined);
});

test("a page in a frame stays one, and that is no setting", () => {
  const pages = new Pages(PAGES, new URL(ROOTS[0]));
  assert.deepEqual(settings(new URLSearchParams("embed=true&scene=a&embed_options=x")), { scene: "a" });
  assert.equal(pages.address("home", { draw: "2" }, "?embed=true&draw=1").search, "?draw=2&embed=true");
});

test("who comes back finds a page as it was left; settings in the address mean what they say", () => {
  const pages = new Pages(PAGES, new URL(ROOTS[0]));
  assert.deepEqual(pages.restored("lab", {}), {});
  pages.saved.set("lab", { preset: "deep" });
  assert.deepEqual(pages.restored("lab", {}), { preset: "deep" });
  assert.deepEqual(pages.restored("lab", { preset: "fast" }), { preset: "fast" });
});

test("two addresses are the same in any order", () => {
  assert.ok(same({ a: "1", b: "2" }, { b: "2", a: "1" }));
  assert.ok(!same({ a: "1" }, { a: "1", b: "2" }));
  assert.ok(!same({ a: "1", c: "2" }, { a: "1", b: "2" }));
  assert.ok(!same({}, undefined));
});
