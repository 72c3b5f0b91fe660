import assert from "node:assert/strict";
import { test } from "node:test";

Reflect.set(globalThis, "matchMedia", () => ({ matches: false }));
const { forPlotly, tableOf } = await import("../explore.js");

const AXIS = { type: "linear", range: [0, 1], tickvals: [], ticktext: [] };
/** @param {any[]} data @param {any} [layout] */
const figure = (data, layout) => ({ data, layout: { xaxis: AXIS, yaxis: AXIS, ...layout } });
const LOOK = {
  ...{ text: "#000000", page: "#ffffff", line: "#cccccc", primary: "#0000ff", colours: ["#112233"] },
  ...{ font: "13px sans", small: "12px sans" },
};

test("above the plot there is room for the buttons and for what the figure has there", () => {
  const margin = (/** @type {any} */ given) => forPlotly(figure([], { margin: given }), LOOK).layout.margin;
  assert.deepEqual(margin({ l: 56, r: 14, t: 10, b: 44 }), { l: 56, r: 24, t: 44, b: 44 });
  assert.deepEqual(margin({ l: 56, r: 30, t: 38, b: 44 }), { l: 56, r: 30, t: 72, b: 44 });
});

test("the table has the values that are read, not the places at which they are drawn", () => {
  const cut = { type: "scatter", name: "no norm", x: [1, 2], y: [0.01, 0.5], customdata: [0, 0.5] };
  const outline = { ...cut, name: "batch norm", fill: "toself", text: ["layer 1", "layer 2"] };
  const { rows } = tableOf(figure([{ ...cut, hovertemplate: "%{customdata:.3g}" }, outline]));
  assert.deepEqual(rows, [
    ["no norm", "1", "0"],
    ["no norm", "2", "0.5"],
    ["batch norm, layer 1", "1", "0"],
    ["batch norm, layer 2", "2", "0.5"],
  ]);
  assert.deepEqual(tableOf(figure([{ ...cut, hovertemplate: "a = %{customdata}" }])).rows[0], ["no norm", "1", "0.01"]);
});

test("Plotly gets the pixels of a picture as red, green and blue, and the table leaves it out", () => {
  const photo = { type: "image", z: [new Uint8Array([1, 2, 3, 4, 5, 6])], dx: 2 };
  const given = forPlotly(figure([photo]), LOOK).data[0];
  assert.deepEqual(given.z, [
    [
      [1, 2, 3],
      [4, 5, 6],
    ],
  ]);
  assert.deepEqual(tableOf(figure([photo])).rows, []);
});
