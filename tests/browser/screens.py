"""Screens on which everything has to work, and what of a page is in reach on them."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

# Of one window of 1280 × 720 at 100, 150 and 200%: browser zoom gives the page so many pixels less.
ZOOMED = [(1280, 720), (853, 480), (640, 360)]
PHONES = [(390, 844), (844, 390)]  # upright and sideways
PROJECTOR = (1920, 1080)
SCREENS = [*ZOOMED, *PHONES, PROJECTOR]
NARROWEST = (320, 568)  # as which a window of 1280 pixels appears at 400%

# Every element, those inside the live picture, too.
ELEMENTS = """function* elements(root) {
  for (const element of root.querySelectorAll("*")) {
    yield element;
    if (element.shadowRoot) yield* elements(element.shadowRoot);
  }
}"""

# The part of the window's height over which elements lie that stay where they are while the page is scrolled,
# at the place of the page where they cover most. What is beside the page's content covers none of it.
STUCK = f"""async (main) => {{
  {ELEMENTS}
  const frame = () => new Promise(requestAnimationFrame);
  const covers = (element) => {{
    const {{ position }} = getComputedStyle(element);
    const loose = position === "fixed" || position === "sticky" || element.matches("header");
    const wide = element.getBoundingClientRect().width > innerWidth / 2;
    return loose && wide && element.childElementCount && element.checkVisibility() && element.clientHeight;
  }};
  const loose = [...elements(document)].filter(covers);
  const top = (element) => element.getBoundingClientRect().top;
  let worst = {{ height: 0, names: [], scrolled: 0 }};
  for (let y = 0; y < main.scrollHeight - main.clientHeight; y += Math.max(40, main.scrollHeight / 30)) {{
    main.scrollTo(0, y);
    await frame();
    const before = loose.map(top);
    main.scrollTo(0, y + 12);
    await frame();
    worst.scrolled = Math.max(worst.scrolled, main.scrollTop);
    const rows = new Set();
    const names = [];
    loose.forEach((element, i) => {{
      const box = element.getBoundingClientRect();
      if (Math.abs(box.top - before[i]) > 1 || box.bottom < 0 || box.top > innerHeight) return;
      names.push(`${{element.tagName}}.${{element.className}} ${{Math.round(box.height)}}`);
      const last = Math.min(innerHeight, box.bottom);
      for (let row = Math.max(0, Math.round(box.top)); row < last; row += 1) rows.add(row);
    }});
    if (rows.size > worst.height) worst = {{ ...worst, height: rows.size, names }};
  }}
  return {{ ...worst, share: worst.height / innerHeight }};
}}"""

# Which of an element's beginning and middle are covered or outside, though the page was scrolled to it.
HIDDEN = """async (element) => {
  element.scrollIntoView({ block: "center", inline: "nearest" });
  await new Promise(requestAnimationFrame);
  const box = element.getBoundingClientRect();
  const owns = (x, y) => {
    let found = document.elementFromPoint(x, y);
    while (found?.shadowRoot) {
      const inner = found.shadowRoot.elementFromPoint(x, y);
      if (!inner || inner === found) break;
      found = inner;
    }
    return found && (element.contains(found) || found.contains(element));
  };
  const y = box.top + box.height / 2;
  const places = { left: box.left + 2, middle: box.left + box.width / 2 };
  return Object.entries(places).filter(([, x]) => !owns(x, y)).map(([name]) => name);
}"""

# Elements that end to the right of the window, unless they are inside of something on the page that scrolls.
TOO_WIDE = f"""() => {{
  {ELEMENTS}
  const scrolls = (element) => {{
    for (let node = element.parentNode; node instanceof Element; node = node.parentNode) {{
      if (node.matches("main")) return false;
      if (element.getRootNode().host && getComputedStyle(node).overflowX !== "visible") return true;
    }}
    return false;
  }};
  const wide = [...elements(document.querySelector("main"))].filter((element) => {{
    const box = element.getBoundingClientRect();
    return box.width && element.checkVisibility() && box.right > innerWidth + 1 && !scrolls(element);
  }});
  const page = [document.documentElement, document.querySelector("main")];
  const names = wide.map((one) => `${{one.tagName}}.${{one.className}}`.slice(0, 80));
  return [...names, ...page.filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.tagName)];
}}"""

# Words that are cut: by an ellipsis, by their box, or by a menu that is narrower than what it shows.
CUT = f"""() => {{
  {ELEMENTS}
  const lab = document.querySelector("main");
  const pen = document.createElement("canvas").getContext("2d");
  const cut = [];
  for (const element of elements(lab)) {{
    if (!element.checkVisibility() || !element.getRootNode().host || !element.clientWidth) continue;
    const style = getComputedStyle(element);
    const own = [...element.childNodes].filter((node) => node.nodeType === 3 && node.data.trim());
    const small = style.clipPath !== "none" || element.closest("svg, .hidden, .handle");
    if (element.matches("select")) {{
      pen.font = style.font;
      const words = element.selectedOptions[0]?.textContent ?? "";
      const room = element.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
      if (pen.measureText(words).width > room - 12) cut.push(`select: ${{words}}`);
    }} else if (own.length && !small) {{
      const hides = (value) => value === "hidden" || value === "clip";
      const across = hides(style.overflowX) && element.scrollWidth > element.clientWidth + 1;
      const down = hides(style.overflowY) && element.scrollHeight > element.clientHeight + 2;
      const out = style.display !== "inline" && style.overflowX === "visible"
        && element.scrollWidth > element.clientWidth + 2;
      const name = `${{element.tagName}}.${{element.className}}`;
      if (across || down || out) cut.push(`${{name}}: ${{own[0].data.trim()}}`);
    }}
  }}
  return cut;
}}"""


def stuck(page: Page) -> dict[str, Any]:
    """What stays in sight while the page is scrolled: its share of the window's height, and its elements."""
    found: dict[str, Any] = page.locator("main").evaluate(STUCK)
    return found
