"""The way between chapters: one row of links, and on narrow screens a menu that closes after a choice.

Streamlit's own top navigation becomes a side bar on narrow screens. It stays open after a choice and after
a reload, covers the page and doesn't hear Escape: the links are ours, and only the routing is Streamlit's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import streamlit as st

from . import assets

Groups = Sequence[tuple[str, Sequence[st.Page]]]  # by name, in reading order; "" is no group

# Streamlit's variables of the theme's colours exist in components only; its `color-scheme` is everywhere.
_STYLE = """<style>
nav.chapters { position: relative; z-index: 3; line-height: 1.3;
  --shade: color-mix(in srgb, currentColor 9%, transparent); }
nav.chapters ul { list-style: none; margin: 0; padding: 0; }
nav.chapters li { margin: 0; padding: 0; }
nav.chapters a, nav.chapters summary { display: flex; align-items: center; min-height: 44px;
  padding: 4px 12px; box-sizing: border-box; border-radius: 6px; color: inherit; text-decoration: none;
  cursor: pointer; }
nav.chapters a:hover, nav.chapters summary:hover { background: var(--shade); }
nav.chapters :focus-visible { outline: 3px solid currentColor; outline-offset: -3px; }
nav.chapters [aria-current], nav.chapters .here > summary { background: var(--shade); font-weight: 600; }
nav.chapters summary { list-style: none; gap: 6px; user-select: none; }
nav.chapters summary::-webkit-details-marker { display: none; }
nav.chapters summary::after { content: ""; border: 5px solid transparent; border-top-color: currentColor;
  margin-top: 5px; opacity: .7; }
nav.chapters [open] > summary::after { transform: rotate(180deg); margin-top: -5px; }
nav.chapters .row { display: flex; flex-wrap: wrap; gap: 2px 6px; margin-left: -12px; }
nav.chapters details { position: relative; }
nav.chapters details > ul { position: absolute; z-index: 1; min-width: 100%; padding: 4px;
  box-sizing: border-box; background: PAPER;
  border: 1px solid color-mix(in srgb, currentColor 22%, transparent); border-radius: 8px;
  box-shadow: 0 6px 18px rgba(0, 0, 0, .18); max-height: calc(100dvh - 8.5rem); overflow-y: auto; }
nav.chapters .row details a { white-space: nowrap; }
nav.chapters .menu { display: none; }
nav.chapters .menu summary::before { content: ""; flex: none; width: 16px; height: 12px; margin-right: 4px;
  background: linear-gradient(currentColor 2px, transparent 2px 5px, currentColor 5px 7px,
  transparent 7px 10px, currentColor 10px); }
nav.chapters .menu .now { opacity: .75; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
nav.chapters .menu li:has(> b) + li:not(:has(> b)) { margin-top: 8px; padding-top: 4px;
  border-top: 1px solid color-mix(in srgb, currentColor 22%, transparent); }
nav.chapters .menu b { display: block; padding: 8px 12px 2px; font-size: .85rem; opacity: .75; }
nav.chapters .skip:not(:focus) { position: absolute; width: 1px; height: 1px; min-height: 0; padding: 0;
  overflow: hidden; clip-path: inset(50%); }
nav.onward { display: flex; flex-wrap: wrap; gap: 8px; }
nav.onward a { flex: 1 1 240px; display: flex; align-items: center; justify-content: center; min-height: 44px;
  padding: 4px 12px; box-sizing: border-box; border-radius: 8px; text-align: center; text-decoration: none;
  border: 1px solid color-mix(in srgb, currentColor 28%, transparent); color: inherit; }
nav.onward a:first-child { background: PRIMARY; border-color: transparent; color: PAPER; }
nav.onward a:hover { outline: 2px solid currentColor; outline-offset: -4px; }
ul.evidence li { margin: 4px 0; }
@media (min-width: 768px) and (min-height: 600px) {
  div:has(> * > nav.chapters) { position: sticky; top: 0; z-index: 3; background: PAPER; padding: 4px 0; }
}
@media (forced-colors: active) {
  nav.chapters [aria-current], nav.chapters .here > summary {
    outline: 2px solid Highlight; outline-offset: -4px; }
  nav.chapters :focus-visible { outline: 4px solid Highlight; }
}
@media (max-width: 767px) {
  nav.chapters .row { display: none; }
  nav.chapters .menu { display: block; }
  nav.chapters .menu summary { margin: 0 -12px; }
}
</style>"""

# Links work without a script, but would begin a new session. The address is changed as the browser's own
# Back button does it, which Streamlit follows within the session.
_SCRIPT = """<script>
{
  const nav = document.currentScript.previousElementSibling;
  const main = nav.closest("main") ?? document.body;
  const open = () => [...nav.querySelectorAll("details[open]")];
  const close = (except) => open().forEach((menu) => { menu.open = menu === except; });
  const read = () => {
    const title = main.querySelector("h1");
    title?.setAttribute("tabindex", "-1");
    title?.focus({ preventScroll: true });
  };
  const arrive = () => {
    const before = main.querySelector("h1");
    const words = before?.textContent;
    const watch = new MutationObserver(() => {
      const title = main.querySelector("h1");
      if (!title || (title === before && title.textContent === words)) return;
      stop();
      main.scrollTo(0, 0);
      read();
    });
    const stop = () => {
      watch.disconnect();
      for (const kind of ["pointerdown", "keydown"]) document.removeEventListener(kind, stop);
    };
    // A reader who is already doing something else keeps the focus.
    for (const kind of ["pointerdown", "keydown"]) document.addEventListener(kind, stop);
    watch.observe(main, { childList: true, subtree: true, characterData: true });
  };
  const go = (address) => {
    const target = new URL(address);
    for (const [name, value] of new URLSearchParams(location.search))
      if (name.startsWith("embed")) target.searchParams.append(name, value);
    arrive();
    history.pushState(null, "", target);
    dispatchEvent(new PopStateEvent("popstate"));
  };
  nav.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    close();
    if (link.matches(".skip, [aria-current]")) return read();
    go(link.href);
  });
  nav.addEventListener("toggle", (event) => {
    if (!event.target.open) return;
    close(event.target);
    event.target.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
  }, true);
  const listen = (kind, hear) => document.addEventListener(kind, function heard(event) {
    if (nav.isConnected) hear(event);
    else document.removeEventListener(kind, heard);
  });
  listen("bnlab:go", (event) => {  // from a link inside a page: assets/links.js
    event.preventDefault();
    go(event.detail);
  });
  listen("click", (event) => {  // a link on the page itself
    const link = event.target.closest?.("main a[href]:not([href^='#'], [download])");
    if (!link || nav.contains(link) || link.origin !== location.origin || event.defaultPrevented) return;
    if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(link.href);
  });
  listen("pointerdown", (event) => { if (!nav.contains(event.target)) close(); });
  listen("keydown", (event) => {
    const [menu] = open();
    if (event.key !== "Escape" || !menu) return;
    if (menu.contains(document.activeElement)) menu.querySelector("summary").focus();
    close();
  });
}
</script>"""


def navigate(groups: Groups) -> st.Page:
    """Show the way to every chapter, and return the chapter that the address asks for.

    Chapters of the group "" stand in the row as they are, the others open from their group's name.
    """
    page = st.navigation([page for _, pages in groups for page in pages], position="hidden")
    st.html(style())
    st.html(bar(groups, page), unsafe_allow_javascript=True)
    return page


def style() -> str:
    """Give the style sheet of the bar and of links that lead on, in the theme's colours."""
    text = _STYLE
    for word, name, usual in (
        ("PAPER", "backgroundColor", "Canvas"),
        ("PRIMARY", "primaryColor", "LinkText"),
    ):
        light, dark = (st.get_option(f"theme.{theme}.{name}") for theme in ("light", "dark"))
        text = text.replace(word, f"light-dark({light}, {dark})" if light and dark else usual)
    return text


def bar(groups: Groups, current: st.Page) -> str:
    """Give the row of links and the menu, one of which the width of the window chooses, with their script."""
    row, menu = [], []
    for name, pages in groups:
        links = _links(pages, current)
        if not name:
            row.append(links)
            menu.append(links)
            continue
        here = ' class="here"' if current.url_path in {page.url_path for page in pages} else ""
        title = escape(name)
        row.append(f"<li><details{here}><summary>{title}</summary><ul>{links}</ul></details></li>")
        menu.append(f"<li><b>{title}</b><ul>{links}</ul></li>")
    return (
        '<nav class="chapters" aria-label="Chapters">'
        '<a class="skip" href="#">Skip the chapters</a>'
        f'<ul class="row">{"".join(row)}</ul>'
        f'<details class="menu"><summary>Chapters <span class="now">{escape(current.title)}</span></summary>'
        f"<ul>{''.join(menu)}</ul></details></nav>{_SCRIPT}"
    )


def _links(pages: Iterable[st.Page], current: st.Page) -> str:
    base = f"{assets.base()}/"
    items = []
    for page in pages:
        mark = ' aria-current="page"' if page.url_path == current.url_path else ""
        items.append(f'<li><a href="{escape(base + page.url_path)}"{mark}>{escape(page.title)}</a></li>')
    return "".join(items)
