"""First pictures: what the session answers to the questions with which a page opens, recorded beforehand.

A reader sees them while Python is on its way. They are made by the very session that answers later, and a
reply is only ever shown to the very question that it was recorded for. ``first/<page>.bin`` is gzip of: the
header's length as uint32 (little endian), the header as JSON padded with blanks to a multiple of 4, and what
the replies consist of::

    openings  by query ("" is the bare address): what `shell.arrive` answers, and as "beside" what
              `shell.beside` does. Of the others only what differs from the bare one's is there, in "opening",
              too; "beside" is null where it would be long: it is asked for later
    replies   ask: a message without its number; parts: [start, length, "text" or "bytes"], the session's
              messages; of a race "reached", the last step that all its lanes have; of a verdict "of", the
              place of its race among the replies
"""

from __future__ import annotations

import asyncio
import json
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from book.chapter import Page
from live.race import LabSession
from live.scheduler import Gone
from live.track import Track

from .asks import Ask, Json, groups, revealed
from .fetch import BuildError
from .inline import Call, Inline, called
from .measured import MOST_RESULTS
from .shell import NoChecks, Whole, arrive, beside

Part = str | bytes

MOST = 400_000  # bytes of a page's file; what it opens with is there in any case
GZIP = 16 + zlib.MAX_WBITS
LEVEL = 9


@dataclass
class Reply:
    """A question, and the messages that answer it.

    reached : of a race: the last step that is recorded of all its lanes
    of : of a verdict: the race that it is passed on
    """

    ask: Json
    parts: list[Part]
    reached: int = 0
    of: Reply | None = None


async def first_pictures(page: Page, recorder: Recorder) -> bytes:
    """Record a page's first pictures, and pack them."""
    openings = {urlencode(query): opened(page, query) for query in queries(page)}
    return packed(openings, await recorded(page, openings, recorder))


def queries(page: Page) -> Iterator[dict[str, str]]:
    """Yield the addresses that are recorded: the bare one, and those of the page's scenes."""
    yield {}
    for scene in page.scenes:
        name, _, value = page.at(scene.name).partition("?")[2].partition("=")
        yield {name: value}


def opened(page: Page, query: Mapping[str, str]) -> Json:
    """Return as plain JSON how a page opens, and what stands beside it then."""
    arrived = arrive(page.name, dict(query))
    found: Json = json.loads(json.dumps(arrived | {"beside": beside(page.name, arrived["values"])}))
    return found


async def recorded(page: Page, openings: Mapping[str, Json], recorder: Recorder) -> list[Reply]:
    """Record what a page opens with, and of what it may ask next as much as there is room for."""
    room, replies = Room(MOST), list[Reply]()
    for group in groups(page, {query: one["opening"] for query, one in openings.items()}):
        known, trial = [reply.ask for reply in replies], room.copy()
        found: list[Reply] = []
        for ask in group:
            if ask.message not in known:
                found += await recorder.answer(ask)
                trial.take(part for reply in found for part in reply.parts)
            if replies and trial.full:
                break
        else:
            room = trial
            replies += found
    return replies


class Room:
    """So many bytes of compressed messages, each of which counts once."""

    def __init__(self, most: int) -> None:
        self.left = most
        self._known: set[Part] = set()
        self._zipper = zlib.compressobj(LEVEL)

    @property
    def full(self) -> bool:
        """Return whether more was taken than there is room for."""
        return self.left < 0

    def copy(self) -> Room:
        """Return another one with the same in it."""
        other = Room(self.left)
        other._known, other._zipper = set(self._known), self._zipper.copy()
        return other

    def take(self, parts: Iterable[Part]) -> None:
        """Find room for those that aren't there yet."""
        for part in parts:
            if part not in self._known:
                self._known.add(part)
                small = self._zipper.compress(_encoded(part)) + self._zipper.flush(zlib.Z_SYNC_FLUSH)
                self.left -= len(small)


# ---- the session -----------------------------------------------------------------------------------------


class Recorder:
    """Has sessions answer questions one after another, each in full before the page leaves."""

    def __init__(self, call: Call = called) -> None:
        self.track = Track(Inline(call), NoChecks())
        self.track.share = Whole()
        self.track.results.most = MOST_RESULTS

    async def answer(self, ask: Ask) -> list[Reply]:
        """Return the reply to a question, and what follows it.

        After a race that is played, the verdicts on it where it is validated; after a prediction, its reveal.

        Raises
        ------
        BuildError
            If a problem is told instead.
        """
        told: list[Part] = []

        async def send(message: Part) -> None:
            header = header_of(message)
            if header["kind"] == "problem":
                raise BuildError(
                    f"a first picture can't be recorded: {header['message']}; asked: {ask.message}"
                )
            if header.get("growing") or header["kind"] in ("cost", "line"):
                return  # what a machine has computed so far, and how fast it is
            told.append(bytes(message) if isinstance(message, bytes) else message)
            judged = "story" in header  # with the view, or after it where that takes long
            if header["kind"] == "story" or (header["kind"] == "view" and (judged or not ask.predicted)):
                raise Gone("all that is recorded has been said")

        session = LabSession(self.track, send)
        try:
            if ask.message["kind"] == "view":
                await session.handle(json.dumps(ask.message | {"id": 0}))
                await _ended(session.showing)
                reply = Reply(ask.message, told)
                after = revealed(ask, header_of(told[-1])["story"]) if ask.predicted else ask
                return [reply] if after == ask else [reply, *await self.answer(after)]
            return await _race(session, ask, told)
        finally:
            await session.close()


async def _race(session: LabSession, ask: Ask, told: list[Part]) -> list[Reply]:
    until = ask.further or ask.message["until"]
    await session.handle(json.dumps(ask.message | {"id": 0, "until": until}))
    race = header_of(told[0])
    while len(told) < 1 + len(race["lanes"]) + len(race["ghosts"]):
        await asyncio.sleep(0)
    rows = [dict(header_of(part)["arrays"])["rows"][0] for part in told[1:]]
    found = Reply(ask.message, list(told), reached=race["every"] * (min(rows) - 1))
    verdicts = []
    for step in range(0, found.reached + 1, race["validate_every"]) if ask.further else ():
        told.clear()
        verdict = {"kind": "verdict", "step": step}
        await session.handle(json.dumps(verdict | {"id": 0}))
        await _ended(session.speaking)
        verdicts.append(Reply(verdict, list(told), of=found))
    return [found, *verdicts]


async def _ended(task: asyncio.Task[None] | None) -> None:
    """Wait until a task has ended; what it raises is raised here."""
    if task is not None:
        await asyncio.wait({task})
        task.result()


def header_of(message: Part) -> Json:
    """Return the header of one of a session's messages."""
    text = message if isinstance(message, str) else message[4 : 4 + struct.unpack_from("<I", message)[0]]
    header: Json = json.loads(text)
    return header


# ---- the file --------------------------------------------------------------------------------------------


def packed(openings: Mapping[str, Json], replies: Sequence[Reply]) -> bytes:
    """Pack a page's file: the same contents give the same bytes, and equal messages are there once."""
    body, places = bytearray(), dict[bytes, int]()
    listed: list[Json] = []
    for reply in replies:
        parts = []
        for part in reply.parts:
            content = _encoded(part)
            if content not in places:
                places[content] = len(body)
                body += content
            parts.append([places[content], len(content), "text" if isinstance(part, str) else "bytes"])
        one: Json = {"ask": reply.ask, "parts": parts}
        if reply.ask["kind"] == "lab":
            one["reached"] = reply.reached
        if reply.of is not None:
            one["of"] = next(number for number, other in enumerate(replies) if other is reply.of)
        listed.append(one)
    text = json.dumps(
        {"openings": _short(openings), "replies": listed}, separators=(",", ":"), allow_nan=False
    )
    header = text.encode()
    header += b" " * (-len(header) % 4)
    zipper = zlib.compressobj(LEVEL, wbits=GZIP)
    return zipper.compress(struct.pack("<I", len(header)) + header + body) + zipper.flush()


def unpacked(content: bytes) -> tuple[dict[str, Json], list[Json], bytes]:
    """Return what is in a page's file: openings in full, replies, and what their parts are parts of."""
    plain = zlib.decompress(content, wbits=GZIP)
    (length,) = struct.unpack_from("<I", plain)
    header = json.loads(plain[4 : 4 + length])
    bare, openings = header["openings"][""], {}
    for query, one in header["openings"].items():
        openings[query] = bare | one | {"opening": bare["opening"] | one["opening"]}
    return openings, header["replies"], plain[4 + length :]


def _short(openings: Mapping[str, Json]) -> dict[str, Json]:
    """Return openings of which all but the bare one have only what differs from it."""
    bare, found = openings[""], {}
    for query, one in openings.items():
        short = _differing(one, bare) | {"opening": _differing(one["opening"], bare["opening"])}
        if short.get("beside", {}).get("code"):
            short["beside"] = None
        found[query] = short if query else one
    return found


def _differing(one: Json, other: Json) -> Json:
    return {name: part for name, part in one.items() if name not in other or part != other[name]}


def _encoded(part: Part) -> bytes:
    return part.encode() if isinstance(part, str) else part
