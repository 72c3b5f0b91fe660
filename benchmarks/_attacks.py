"""Attacks by way of questions that the channel understands: races, files, checks, floods, hostile settings.

Each is a coroutine that goes on until it is cancelled, or has done its worst; its first sentence says what it
does. Connections that it leaves open are closed for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import time
from collections.abc import Iterator
from typing import Any

import psutil

from benchmarks._sockets import LEFT, PING, Page, Raw, Target, frame, page, until_left

LANES = "none,batch,layer,group"
HEAVY: dict[str, Any] = {
    "lanes": LANES, "replicas": 8, "depth": 20, "width": 128, "batch_size": 640, "network": "cnn",
}  # fmt: skip
FILES: dict[str, Any] = {"lanes": LANES, "replicas": 8, "seed": 77}
SMALL_BUFFER = 4096  # bytes
FLOOD = 115  # messages a second: just under the limit
ODD: tuple[Any, ...] = (
    None, True, -1, 0, 1e308, -1e308, float("nan"), float("inf"), 2**63, 10**300, "", "x" * 3000, "\0\ud800",
    "none", "batch,batch,batch,batch,batch", "none~depth:99", "~~~", "1e999", "0x10", "<script>", "../../etc",
    [], [[]], [[0, "lr", 0.1]] * 200, [["a"] * 50] * 50, {}, {"a": {"b": [1]}}, list(range(900)),
    [None] * 500, [[2**70, "lr", {}]], {"lr": float("nan")}, "300:lr:0.5," * 300,
)  # fmt: skip


def lab(values: dict[str, Any], until: int = 0, number: int = 1, **more: Any) -> bytes:
    """Return the frame that asks for a race."""
    message = {"kind": "lab", "id": number, "values": values, "until": until} | more
    return frame(json.dumps(message).encode())


def seeds() -> Iterator[int]:
    """Return seeds that an attack before this one is unlikely to have had."""
    return itertools.count(int(time.time() * 10) % 5000 + 1000)


async def note_refusal(target: Target, raw: Raw, seconds: float) -> None:
    """Count it if the first answers within so many seconds refuse the race."""
    came = b""
    with contextlib.suppress(*LEFT):
        async with asyncio.timeout(seconds):
            while b'"kind":"lab"' not in came and (more := await raw.received()):
                came += more
    target.notes["races refused"] += b'"refused":{' in came
    target.notes["races begun"] += b'"kind":"lab"' in came and b'"refused":{' not in came


# ---- races that are too heavy ------------------------------------------------------------------------


async def one_heavy_race(target: Target) -> None:
    """Ask for a legal race whose step takes most of a minute, and leave after a tenth of a second."""
    raw = await target.open()
    await raw.send(lab(HEAVY))
    await note_refusal(target, raw, 0.1)
    raw.leave()


async def many_heavy_races(target: Target) -> None:
    """Have 300 sockets ask for such a race each, of other seeds, and leave after a tenth of a second."""
    seed = seeds()

    async def one() -> None:
        raw = await target.open()
        await raw.send(lab(HEAVY | {"seed": next(seed)}))
        await note_refusal(target, raw, 0.1)
        raw.leave()

    await until_left(*(one() for _ in range(target.many(300, 20))))


def by_weight() -> list[dict[str, Any]]:
    """Return settings of convolutional races, the heaviest first."""
    grid = itertools.product((8, 4, 2, 1), (640, 256, 128, 64, 32), (128, 64, 32, 16), (20, 10, 5, 3))
    races = [
        HEAVY | {"replicas": replicas, "batch_size": batch, "width": width, "depth": depth}
        for replicas, batch, width, depth in grid
    ]

    def weight(race: dict[str, Any]) -> float:
        return float(race["replicas"] * (race["batch_size"] + 100) * race["depth"] * race["width"] ** 2)

    return sorted(races, key=weight, reverse=True)


async def heaviest_races(target: Target) -> None:
    """Have 20 sockets stay, each with the heaviest race that isn't refused, and a seed of its own."""
    async with page(target.url) as visit:
        for race in by_weight():
            header = await visit.ask("lab", values=race, until=0)
            if header["kind"] == "lab" and not header.get("refused"):
                break
            target.notes["settings refused"] += 1
    target.notes |= {name: race[name] for name in ("replicas", "batch_size", "width", "depth")}
    seed = seeds()
    opened = [await target.open() for _ in range(target.many(20, 4))]
    for raw in opened:
        await raw.send(lab(race | {"seed": next(seed)}, until=2000))
    await until_left(*(raw.ended(10**6) for raw in opened))


# ---- who doesn't read --------------------------------------------------------------------------------


def file_step(target: Target) -> int:
    """Return how far the race whose files are asked for is played."""
    return 30 if target.small else 400


async def record_races(target: Target) -> None:
    """Play the race whose files will be asked for."""
    async with page(target.url) as visit:
        await visit.played(file_step(target), values=FILES)


async def unread_files(target: Target) -> None:
    """Have 100 sockets ask for long files, again and again, and never read."""
    question = {"kind": "take", "id": 1, "picture": "lab", "what": "csv", "values": FILES}
    question["step"] = file_step(target)

    async def one() -> None:
        raw = await target.open(buffer=SMALL_BUFFER)
        while True:
            await raw.send(frame(json.dumps(question).encode()))
            await asyncio.sleep(0.25)

    await until_left(*(one() for _ in range(target.many(100, 20))))


async def unread_pongs(target: Target) -> None:
    """Have 30 sockets send pings as fast as they can, and read none of the pongs."""

    async def one() -> None:
        raw = await target.open(buffer=SMALL_BUFFER)
        while True:
            await raw.send(frame(b"p" * 125, PING) * 100)
            await asyncio.sleep(0.001)

    await until_left(*(one() for _ in range(target.many(30, 5))))


async def unread_answers(target: Target) -> None:
    """Have 50 sockets ask for views and races' pictures at the limit of messages, and read no answer."""
    view = frame(json.dumps({"kind": "view", "id": 1, "chapter": "home", "values": {}}).encode())
    panels = frame(json.dumps({"kind": "panels", "id": 1, "values": {"lanes": LANES}}).encode())

    async def one() -> None:
        raw = await target.open(buffer=SMALL_BUFFER)
        while True:
            await raw.send(view + panels)
            await asyncio.sleep(2 / FLOOD)

    await until_left(*(one() for _ in range(target.many(50))))


# ---- checks ------------------------------------------------------------------------------------------


async def heavy_checks(target: Target) -> None:
    """Have three visitors ask for the heaviest checks in PyTorch, while a fourth asks for a plain one."""
    races = [HEAVY, HEAVY | {"network": "mlp"}, {"lanes": LANES, "network": "rnn"}, {"lanes": LANES}]
    seed = seeds()

    async def ask(visit: Page) -> None:
        for race in races:
            step = 100 if target.small else 2000
            header = await visit.ask("check", values=race | {"seed": next(seed)}, step=step)
            refused = header["kind"] == "problem" or header.get("refused")
            target.notes["checks refused" if refused else "checks answered"] += 1

    async def heavy() -> None:
        async with page(target.url) as visit:
            while True:
                await ask(visit)

    async def plain() -> None:
        await asyncio.sleep(min(1.0, target.seconds / 4))
        began = time.monotonic()
        try:
            async with page(target.url) as visit:
                header = await visit.ask("check", values={"lanes": "batch", "seed": next(seed)}, step=20)
                target.notes[f"plain checks {'answered' if 'report' in header else 'failed'}"] += 1
        finally:  # without an answer it is the age of the question
            target.notes["ms for a plain check"] = round(1000 * (time.monotonic() - began))

    await until_left(plain(), *(heavy() for _ in range(3)))


# ---- floods ------------------------------------------------------------------------------------------


async def resets(target: Target) -> None:
    """Have thousands of sockets ask and die at once, with a reset instead of a goodbye."""
    seed = seeds()

    async def one(number: int) -> None:
        for _ in range(10**6):
            with contextlib.suppress(*LEFT):
                raw = await target.open()
                await raw.send(lab({"seed": next(seed) % 9999}, until=2000))
                await asyncio.sleep(0.01 * (number % 4))
                raw.reset()
                target.notes["resets"] += 1

    await until_left(*(one(number) for number in range(16)))


async def killed_workers(target: Target) -> None:
    """Have twenty of the server's processes killed by the operating system, one every second."""
    server, chance = psutil.Process(target.pid), random.Random(1)
    for _ in range(target.many(20, 3)):
        with contextlib.suppress(psutil.NoSuchProcess, IndexError):
            children = [one for one in server.children() if "resource_tracker" not in " ".join(one.cmdline())]
            chance.choice(children).kill()
            target.notes["killed"] += 1
        await asyncio.sleep(0.2 if target.small else 1.0)


async def question_floods(target: Target) -> None:
    """Have 10 sockets ask for pictures, views and races at the limit of messages, and read the answers."""
    values = {"lanes": LANES}
    questions = itertools.cycle(
        [
            {"kind": "panels", "id": 1, "values": values},
            {"kind": "view", "id": 1, "chapter": "home", "values": {"batch_size": 256}},
            {"kind": "lab", "id": 1, "values": values, "until": 0},
            {"kind": "take", "id": 1, "picture": "lab", "what": "python", "values": values, "step": 0},
            {"kind": "verdict", "id": 1, "step": 0},
        ]
    )

    async def one() -> None:
        raw = await target.open()
        reading = asyncio.create_task(raw.ended(10**6))
        try:
            while True:
                await raw.send(frame(json.dumps(next(questions)).encode()))
                target.notes["questions"] += 1
                await asyncio.sleep(1 / FLOOD)
        finally:
            reading.cancel()

    await until_left(*(one() for _ in range(target.many(10, 3))))


async def slider_floods(target: Target) -> None:
    """Have 10 sockets draft another race each time, as often as the limit of messages allows."""
    seed = seeds()

    async def one() -> None:
        raw = await target.open()
        reading = asyncio.create_task(raw.ended(10**6))
        try:
            for number in itertools.count():
                values = {"lanes": LANES, "seed": next(seed) % 9999, "lr": 0.01 * (1 + number % 90)}
                await raw.send(lab(values, 2000, number, draft=True))
                target.notes["drafts"] += 1
                await asyncio.sleep(1 / FLOOD)
        finally:
            reading.cancel()

    await until_left(*(one() for _ in range(target.many(10, 3))))


async def hostile_settings(target: Target) -> None:
    """Have 4 sockets send settings of wrong types, without end, nested or malformed, and odd messages."""
    names = [
        *HEAVY,
        *["seed", "lr", "edits", "before", "preset", "guess", "experiment", "race", "step", "eps", "?"],
    ]
    kinds: list[Any] = [
        *["lab", "view", "panels", "until", "verdict", "take", "check", "stop", "__init__"],
        7,
        None,
        [],
    ]

    async def one(number: int) -> None:
        chance = random.Random(number)
        raw = await target.open()
        reading = asyncio.create_task(raw.ended(10**6))
        try:
            while True:
                values = {name: chance.choice(ODD) for name in chance.sample(names, 4)}
                # What is valid by chance stays small: this attack is on what is read, not on the workers.
                values |= {"width": 8, "depth": 1, "replicas": 1} if chance.random() < 0.9 else {}
                message = {"kind": chance.choice(kinds), "id": chance.choice((1, 1, *ODD)), "values": values}
                message |= {
                    "until": 0,
                    "step": chance.choice(ODD),
                    "what": "csv",
                    "chapter": chance.choice(ODD),
                }
                text = json.dumps(message)
                if chance.random() < 0.1:
                    text = chance.choice((text[:-2], "[" * 4000, '{"kind":' * 900, "null", '"lab"', "1e400"))
                await raw.send(frame(text[:8000].encode("utf-8", "surrogatepass")))
                target.notes["messages"] += 1
                await asyncio.sleep(1 / FLOOD)
        finally:
            reading.cancel()

    async def again(number: int) -> None:
        for turn in itertools.count():
            with contextlib.suppress(*LEFT):
                await one(number + 10 * turn)
            target.notes["closed"] += 1
            await asyncio.sleep(0.1)

    await until_left(*(again(number) for number in range(4)))


async def cost_questions(target: Target) -> None:
    """Have 10 sockets open one small race after another whose cost must be measured anew, and wait for it."""

    async def one(number: int) -> None:
        async with page(target.url) as visit:
            for batch in range(1, 640):
                values = {"batch_size": batch, "depth": 1 + number, "replicas": 8, "lanes": "batch"}
                await visit.ask("lab", values=values, until=0)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.5):
                        while (await visit.answer())[0]["kind"] != "cost":
                            pass
                        target.notes["costs"] += 1

    await until_left(*(one(number) for number in range(target.many(10, 3))))
