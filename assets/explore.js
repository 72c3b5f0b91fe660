// "Explore": the very figure that the painter draws, opened in real Plotly, with its numbers in a table beside it.
import { button, element } from "./controls.js";
import { written } from "./numbers.js";
import { isShown, size } from "./plotting.js";
import { isList, palette } from "./scheme.js";
import { theme } from "./theme.js";

/**
 * @import { Figure, Trace } from "./plotting.js"
 * @import { Theme } from "./scheme.js"
 * @typedef {{columns: string[], rows: string[][], more: number}} Table
 */

const MOST_ROWS = 200;
const NARROW = 480;
const BAR = 44,
  LAST_LABEL = 24; // pixels
const NEVER = ["toImage", "sendChartToCloud"]; // the first has its own button; nothing leaves for another host
const SELDOM = ["zoomIn2d", "zoomOut2d", "autoScale2d", "select2d", "lasso2d"]; // fingers pinch
const COLOURS = new Set(["color", "fillcolor", "bgcolor", "colorscale"]);
/** @type {Map<string, Promise<any>>} */
const loading = new Map(); // Plotly by its address: loaded when first asked for

/**
 * Opens a figure. Escape and "Close" close it and give the focus back.
 *
 * @param {HTMLElement} container where the dialog is put, and whose colours it has
 * @param {Figure} figure
 * @param {{plotly: string, name?: string}} how address of plotly.min.js; name of the files that can be saved
 * @returns {Promise<HTMLDialogElement>} once the figure is drawn, or couldn't be
 */
export async function explore(container, figure, { plotly, name = "batchnorm-figure" }) {
  const { title = "Figure", alt = "" } = figure.layout.meta ?? {};
  const root = /** @type {Document | ShadowRoot} */ (container.getRootNode());
  const before = /** @type {HTMLElement | null} */ (root.activeElement ?? document.activeElement);
  const dialog = element(container, "dialog", "exploring", { "aria-label": `Explore: ${title}` });
  const head = element(dialog, "header");
  element(head, "h2", "", {}, title);
  const close = button(head, "Close", "Close (Escape)", () => dialog.close());
  const parts = element(dialog, "div", "parts");
  const chart = element(parts, "div", "chart");
  const waiting = element(chart, "p", "waiting", { role: "status" }, "Plotly is being loaded …");
  showTable(element(parts, "div", "table", { tabindex: 0, role: "region", "aria-label": "The numbers" }), figure, alt);
  let drawn = () => {};
  dialog.addEventListener("close", () => {
    drawn();
    dialog.remove();
    before?.focus?.();
  });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close()); // beside it
  dialog.showModal();
  close.focus();
  try {
    const Plotly = await load(plotly);
    if (!dialog.isConnected) return dialog;
    waiting.remove();
    const { data, layout } = forPlotly(figure, theme(container));
    const save = (/** @type {string} */ format) => ({
      name: format,
      title: `Download as ${format.toUpperCase()}`,
      icon: format === "png" ? Plotly.Icons.camera : Plotly.Icons.disk,
      click: (/** @type {any} */ plot) => Plotly.downloadImage(plot, { format, filename: name, scale: 2 }),
    });
    await Plotly.newPlot(chart, data, layout, {
      responsive: true,
      displaylogo: false,
      plotlyServerURL: "",
      displayModeBar: true,
      modeBarButtonsToRemove: chart.clientWidth < NARROW ? [...NEVER, ...SELDOM] : NEVER,
      modeBarButtonsToAdd: [save("png"), save("svg")],
    });
    drawn = () => Plotly.purge(chart);
    if (root !== document) adopt(dialog);
  } catch (error) {
    waiting.textContent = "Plotly could not be opened; the numbers are in the table.";
    chart.replaceChildren(waiting);
    console.error(error);
  }
  return dialog;
}

/** @param {string} address @returns {Promise<any>} */
function load(address) {
  const known = loading.get(address);
  if (known) return known;
  const found = new Promise((done, fail) => {
    const script = element(document.head, "script");
    script.addEventListener("load", () => done(Reflect.get(window, "Plotly")));
    script.addEventListener("error", () => {
      loading.delete(address); // the next time it is tried again
      script.remove();
      fail(new Error(`${address} could not be loaded`));
    });
    script.src = address;
  });
  loading.set(address, found);
  return found;
}

// Plotly puts its styles into the page's head; a shadow root needs them, too.
/** @param {HTMLElement} dialog */
function adopt(dialog) {
  const sheets = [...document.querySelectorAll('style[id^="plotly.js-style"]')].map((style) => {
    const rules = /** @type {HTMLStyleElement} */ (style).sheet?.cssRules ?? [];
    return [...rules].map((rule) => rule.cssText).join("\n");
  });
  element(dialog, "style", "", {}, sheets.join("\n"));
}

// ---- what Plotly is given -----------------------------------------------------------------------------------------

/**
 * The figure in the reader's colours, with plain lists of readable numbers, and the template that makes Plotly's
 * defaults those of the painter.
 *
 * @param {Figure} figure
 * @param {Theme} look
 * @returns {Figure}
 */
export function forPlotly(figure, look) {
  const colour = palette(look);
  const data = figure.data.map((trace) => {
    const made = plain(trace, colour);
    if (trace.type === "image") made.z = made.z.map(triples);
    if (/^line-/.test(made.marker?.symbol ?? "")) {
      made.marker.line = { color: made.marker.color, ...made.marker.line, width: made.marker.line?.width || 2 };
    }
    return trace.type === "scatter" ? { mode: "lines", ...made } : made;
  });
  const { height, margin, ...layout } = plain(figure.layout, colour); // as high as the dialog
  const axis = {
    title: { font: { size: 13 } },
    tickfont: { size: 12 },

    gridcolor: look.line,
    zerolinecolor: look.line,
    linecolor: look.text,
    zeroline: false,
    automargin: true,
  };
  const lines = data.every(({ type, mode }) => type === "scatter" && mode.includes("lines"));
  const template = {
    layout: {
      font: { family: look.font.replace(/^\S+\s/, ""), size: 13, color: look.text },
      paper_bgcolor: look.page,
      plot_bgcolor: look.page,
      hoverlabel: { bgcolor: look.page, bordercolor: look.line, font: { color: look.text } },
      modebar: { bgcolor: look.page, color: look.text, activecolor: look.primary },
      legend: { traceorder: "normal", orientation: "h", yanchor: "top", y: -0.16, x: 0 },
      colorway: look.colours,
      hovermode: lines ? "x unified" : "closest",
      xaxis: { ...axis, showline: true },
      yaxis: { ...axis, showline: false },
    },
  };
  // Above the plot room for the bar of buttons, and for what the figure has there; on the right for the last label.
  const room = { ...margin, t: BAR + Math.max(0, (margin?.t ?? 0) - 10), r: Math.max(LAST_LABEL, margin?.r ?? 0) };
  return { data, layout: { autosize: true, ...layout, margin: room, template } };
}

/**
 * @param {any} value
 * @param {(colour: string) => string} colour
 * @param {boolean} [coloured] whether its texts are colours
 * @returns {any}
 */
function plain(value, colour, coloured = false) {
  if (typeof value === "string") return coloured ? colour(value) : value;
  if (ArrayBuffer.isView(value)) return Array.from(/** @type {Float32Array} */ (value), readable);
  if (Array.isArray(value)) return value.map((each) => plain(each, colour, coloured));
  if (value === null || typeof value !== "object") return value;
  const parts = Object.entries(value).map(([key, each]) => [
    key,
    key === "meta" || key === "customdata" ? each : plain(each, colour, COLOURS.has(key)),
  ]);
  return Object.fromEntries(parts);
}

// Red, green and blue of a row's pixels, as Plotly wants them.
/** @param {number[]} row */
const triples = (row) => Array.from({ length: row.length / 3 }, (_, k) => row.slice(3 * k, 3 * k + 3));

// 0.1 of 32 bits is 0.10000000149…; a gap is null.
/** @param {number} value */
const readable = (value) => (Number.isNaN(value) ? null : Number(value.toPrecision(7)));

// ---- the numbers --------------------------------------------------------------------------------------------------

/**
 * What the figure shows, as rows of text: series, x, y and, of a heat map, the value.
 *
 * @param {Figure} figure
 * @param {number} [most] rows
 * @returns {Table}
 */
export function tableOf({ data, layout }, most = MOST_ROWS) {
  const traces = data.filter((trace) => isShown(trace) && (trace.name || trace.hoverinfo !== "skip") && size(trace));
  const cells = traces.some(({ type }) => type === "heatmap");
  const title = (/** @type {string} */ letter) => {
    const ids = new Set(traces.map((trace) => trace[`${letter}axis`] ?? letter));
    const [id] = ids;
    return (ids.size === 1 && layout[`${letter}axis${id.slice(1)}`]?.title?.text) || letter;
  };
  /** @type {string[][]} */
  const rows = [];
  let more = 0;
  for (const trace of traces) {
    const count = size(trace),
      shown = Math.min(count, most - rows.length);
    for (let i = 0; i < shown; i += 1) rows.push(row(trace, i, cells));
    more += count - shown;
  }
  return { columns: ["series", title("x"), title("y"), ...(cells ? ["value"] : [])], rows, more };
}

/** @param {Trace} trace @param {number} i @param {boolean} cells */
function row(trace, i, cells) {
  const columns = trace.type === "heatmap" ? trace.z[0].length : 0;
  const [k, m] = columns ? [i % columns, Math.floor(i / columns)] : [i, i];
  // What is read instead of y, where y is cut off at the axis or only a place.
  const exact = trace.fill === "toself" || String(trace.hovertemplate).startsWith("%{customdata");
  const found = [trace.x ? trace.x[k] : k, exact && trace.customdata ? trace.customdata[i] : trace.y ? trace.y[m] : m];
  if (cells) found.push(columns ? trace.z[m][k] : "");
  const words = found.map((value) => (value === null || Number.isNaN(value) ? "–" : written(value)));
  const part = trace.fill === "toself" && isList(trace.text) ? trace.text[i] : ""; // of several outlines this one
  return [[trace.name, part].filter(Boolean).join(", "), ...words];
}

/** @param {HTMLElement} parent @param {Figure} figure @param {string} caption */
function showTable(parent, figure, caption) {
  const { columns, rows, more } = tableOf(figure);
  const table = element(parent, "table");
  element(table, "caption", "", {}, caption);
  const head = element(element(table, "thead"), "tr");
  for (const column of columns) element(head, "th", "", { scope: "col" }, column);
  const body = element(table, "tbody");
  for (const [series, ...values] of rows) {
    const line = element(body, "tr");
    element(line, "th", "", { scope: "row" }, series);
    for (const value of values) element(line, "td", "", {}, value);
  }
  if (more) element(parent, "p", "more", {}, `… ${more.toLocaleString("en")} more rows are in the CSV`);
}
