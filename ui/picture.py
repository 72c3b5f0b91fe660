"""The live component: a picture that talks to the channel, and settings that live in the address."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import streamlit as st

from live.messages import CONTROLS, Control, Values, arrive, opening, read, write
from ui import assets

# Each report has a number of its own. Streamlit tells of changes only, and runs the script with the address
# that the browser had when it reported: a report that says the same again must not bring that one back.
REVISION = "revision"

_STYLE = "".join(path.read_text() for path in sorted(assets.FOLDER.glob("*.css")))

# The component itself only loads the picture's module; see assets/component.js for what happens then.
_LOADER = """
const pictures = new WeakMap();
export default function ({ parentElement: root, data, setStateValue }) {
  let picture = pictures.get(root);
  if (!picture) {
    const module = import(new URL(data.assets + "/component.js", location.origin));
    picture = module.then((m) => m.mount(root, data));
    pictures.set(root, picture);
  }
  picture.then((p) => p.update(data, setStateValue));
  return () => setTimeout(() => {
    // Streamlit also cleans up after a superseded call, while the picture is still on the page.
    if ((root.host ?? root).isConnected || pictures.get(root) !== picture) return;
    pictures.delete(root);
    picture.then((p) => p.destroy());
  });
}
"""


def picture(name: str, *, title: str, page: str = "") -> Values:
    """Show the live picture ``name`` (a chapter, or "lab") with its controls; return its settings.

    ``page`` is the name of the page where it isn't the picture's: what is answered is remembered by page.
    The settings are read from the page's address; what the reader chooses is written back there when
    the gesture ends. Fields of the address that are broken fall back one by one, and the page says so.
    """
    controls = CONTROLS[name]
    _restore_address(name)
    come = arrive(name, st.query_params)
    arrival = _arrival(name, write(controls, come.values))
    if come.opens:
        st.query_params.from_dict(come.address)
    if come.note:
        st.info(come.note)
    if come.problems:
        named = "; ".join(f"`{_plain(problem)}`" for problem in come.problems)
        st.warning(f"Part of this address could not be used: {named}")
    key = f"live-{name}"
    component = st.components.v2.component(
        "bnlab_live",
        html='<div class="lab" aria-busy="true"></div>',
        css=_STYLE,
        js=_LOADER,
    )
    component(
        key=key,
        data=opening(name, come.values, title)
        | {
            "paused": come.paused,
            "session": st.session_state.setdefault("session", secrets.token_hex(8)),
            "arrival": arrival,
            "query": st.query_params.to_dict(),
            "page": page or name,
            "base": assets.base(),
            "assets": assets.base() + assets.MOUNT,
            "channel": assets.base() + "/live",
            "plotly": assets.base() + assets.PLOTLY,
        },
        on_values_change=lambda: _to_address(name, controls, st.session_state[key]),
    )
    return come.values


def _to_address(name: str, controls: Sequence[Control], state: Any) -> None:
    reported = state.get("values")
    said = (
        {key: value for key, value in reported.items() if key != REVISION}
        if isinstance(reported, dict)
        else {}
    )
    values, _ = read(controls, said)
    address = write(controls, values)
    st.query_params.from_dict(address)
    st.session_state[f"address-{name}"] = address


def _arrival(name: str, address: dict[str, str]) -> int:
    """Count how often the address has changed otherwise than by the picture itself: a link, the way back.

    The picture takes new settings over when this number changes; all else is an echo of what it said.
    """
    known = st.session_state.get(f"address-{name}")
    count: int = st.session_state.get(f"arrival-{name}", 0) + (known is not None and known != address)
    st.session_state[f"address-{name}"], st.session_state[f"arrival-{name}"] = address, count
    return count


def _restore_address(name: str) -> None:
    """Switching pages drops the address's settings; coming back brings them back.

    A bare address on the same page is the browser's way back to the start, and means what it says.
    """
    saved = st.session_state.get(f"address-{name}")
    if saved and not st.query_params and st.session_state.get("picture") != name:
        st.query_params.from_dict(saved)
    st.session_state["picture"] = name


def _plain(text: str) -> str:
    """Text that a visitor may have written, without Markdown's special characters."""
    return "".join(c for c in text if c.isprintable() and c not in "`")
