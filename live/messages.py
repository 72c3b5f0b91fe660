"""What the pages and the channel agree on: the settings of each picture, and the messages that carry them.

Messages, browser to server (JSON text, at most MAX_MESSAGE characters)::

    {"kind": "view", "id": n, "chapter": name,                  answered by one "view", or by several while
     "values": {...}, "narrow": bool, "draft": bool}            what it needs is computed; "draft": recordings
                                                                of every tenth step, with "moves", the name
                                                                of the control that moves; an answer that
                                                                takes time is told by a "story"
    {"kind": "lab", "id": n, "values": {...}, "until": step,    answered by "lab", then "frames" and "cost" as
     "draft": bool, "narrow": bool}                             they come; "draft": every DRAFT_EVERYth step
                                                                only, without the ghost
    {"kind": "panels", "id": n, "values": {...},                answered by "panels": only how the race is
     "narrow": bool}                                            looked at has changed
    {"kind": "until", "id": n, "step": step}                    go on to that step
    {"kind": "verdict", "id": n, "step": step}                  answered by one "verdict"
    {"kind": "check", "id": n, "values": {...}, "step": step}   answered by one "check" a lane, and by others
                                                                while it waits in line
    {"kind": "take", "id": n, "picture": "lab", "what": "csv"   answered by "file", portion by portion;
     or "python", "values": {...}, "step": step}                of a chapter: "chapter": name for "picture"
    {"kind": "stop"}                                            nothing more is wanted

While the question of a lab's scene is open (`book.race.asking.is_open`) no frame beyond step 0 is sent,
whatever is asked for; a verdict says nothing, and files and checks are refused.

Messages, server to browser: JSON text for "story", "cost", "line", "verdict", "check" and "problem"; else
binary: the header's length as uint32 (little endian), the header as JSON padded with blanks to a multiple of
4, then float32 numbers, or bytes. Headers list their arrays in order as [name, shape], bytes as [name, shape,
"u1"]. In figures {"$": k} stands for array k.

    "lab"      lanes (name, norm, depth, colour, dash, layout), ghosts, every, validate_every, network,
               measured, notes, settings, problems, scene, open, until, heading, panels (title, hint, about,
               choice, spoils, figure: a template, see `book.race.panels`); refused: null, or text, fix
               (settings that make it fit) and label, and then nothing is computed
    "frames"   lane, ghost, arrays: rows, surfaces, clouds; surface_steps, cloud_steps. The same bytes for all
               who watch, so without an id: they are of the "lab" before them
    "line"     sharing: how many recordings the server computes in turn, these too; 0: no others. Told when a
               race is asked for, and with verdicts when it has changed
    "cost"     lane, parameters, seconds (of a step)
    "verdict"  step, text, because, change, read, leader, story (null, or as `book.predictions.told`),
               experiment (null, or as `bnlib.experiments.found`)
    "check"    lane, of (how many lanes), name; and report (`bnlib.torch_check`), refused (why this lane
               isn't checked), or waiting: place (how many checks are before it; 0: its turn has come) and
               seconds (about how long they take, or it itself takes), told when the place changes
    "file"     name, size, start, bytes: of a gzip file of ``size`` bytes the portion from ``start`` on. Where
               its header says how many ``bytes`` it has, the portion itself follows the header. Portions come
               in order, other messages between them; a "problem" of "take" ends them too early
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from book.chapter import Chapter
from book.contents import entries
from book.controls import Control, Values, describe, read, write
from book.predictions import story
from book.race.evidence import Link, listed, open_link
from book.race.lanes import lane_configs
from book.race.settings import LAB_CONTROLS, extras
from book.registry import chapters

from .wire import MAX_MESSAGE, pack, problem, unpack

__all__ = [
    "CONTROLS",
    "LAB_CONTROLS",
    "MAX_MESSAGE",
    "Arrival",
    "Control",
    "Link",
    "Values",
    "arrive",
    "describe",
    "follow",
    "lane_configs",
    "opening",
    "pack",
    "problem",
    "read",
    "unpack",
    "write",
]

CONTROLS = {name: chapter.table for name, chapter in chapters().items()} | {"lab": LAB_CONTROLS}
LAB = extras() | {"experiments": listed()}


def follow(picture: str, query: Mapping[str, str]) -> Link:
    """Return where a page's address leads; the lab has short ones for experiments' races."""
    return open_link(query) if picture == "lab" else Link(dict(query))


class Arrival(NamedTuple):
    """What a reader who comes with an address is shown.

    values : the settings
    address : the address itself, of a short link what it stands for
    note : what there is to know of a link that leads to no race
    problems : what of the address couldn't be used
    paused : whether the address names a step, which is then shown and not played past
    opens : whether it was a short link, which is now spelled out
    """

    values: Values
    address: dict[str, str]
    note: str
    problems: list[str]
    paused: bool
    opens: bool


def arrive(picture: str, query: Mapping[str, str]) -> Arrival:
    """Return what a picture shows at an address; fields that are broken fall back one by one."""
    link = follow(picture, query)
    values, problems = read(CONTROLS[picture], link.address)
    paused = "step" in link.address
    return Arrival(values, link.address, link.note, link.problems + problems, paused, link.opens)


def opening(picture: str, values: Values, title: str) -> dict[str, Any]:
    """Return what a picture is given when it opens, as plain JSON: settings, scenes, words."""
    controls = CONTROLS[picture]
    given = {
        "picture": picture, "title": title, "controls": describe(controls), "values": values,
        "defaults": {control.name: control.default for control in controls},
    }  # fmt: skip
    return given | (LAB if picture == "lab" else of_chapter(chapters()[picture]))


def of_chapter(chapter: Chapter) -> dict[str, Any]:
    """Return what a chapter's frame is given besides its settings; the first page lists all others."""
    given = {"chapter": chapter.name, "story": story(chapter), "ending": chapter.ending}
    return given if chapter.path else given | {"contents": entries()}
