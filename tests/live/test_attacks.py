"""Attacks in a small form: memory is bounded, work ends with who asked for it, and the others are served."""

import asyncio
import multiprocessing
import time

import psutil
import pytest

from benchmarks import _attacks, attack
from benchmarks._gauge import Gauge
from benchmarks._sockets import Target, loopback
from benchmarks._watching import Watcher
from tests.live.conftest import alive
from tests.server import PATIENCE, wait_for

GROWTH = 600 * 2**20  # bytes; a single step of the heaviest race took 4 GiB
NOTHING = ("", "")
REFUSED = {  # what must have been counted, and what must not
    "uploads": ("refused", "accepted"),
    "foreign_hosts": ("refused", "accepted"),
    "one_heavy_race": ("", "races begun"),
    "many_heavy_races": ("", "races begun"),
    "long_messages": ("closed", ""),
    "endless_fragments": ("closed", ""),
    "odd_frames_sent": ("closed", ""),
    "odd_requests": ("4xx", "5xx"),
}


@pytest.fixture(scope="module")
def besieged(start_server):
    """A server of its own, a visitor who watches, and a process for the attackers."""
    server = start_server()
    field = attack.Field(server, small=True)
    yield field
    field.close()


def processor_time(server):
    """Seconds that the server's processes have used."""
    total = 0.0
    for process in server.workers():
        try:
            total += sum(process.cpu_times()[:2])
        except psutil.NoSuchProcess:
            continue
    return total


def idle(server):
    """Whether nobody computes anything."""
    before = processor_time(server), server.health()["computed_steps"]
    time.sleep(0.15)
    return abs(processor_time(server) - before[0]) < 0.03 and server.health()["computed_steps"] == before[1]


@pytest.fixture
def gauge(besieged):
    """What the server's processes use during a test."""
    gauge = Gauge(besieged.server.process.pid)
    gauge.start()
    yield gauge
    gauge.stop()


@pytest.mark.parametrize("name", attack.ATTACKS)
def test_an_attack_stops_nobody_and_leaves_nothing_behind(besieged, gauge, name):
    server, logged = besieged.server, len(besieged.server.log.read_bytes())
    wait_for(lambda: idle(server), "the end of what was before")
    workers = len(alive(server.workers()))
    counted, never = REFUSED.get(name, NOTHING)
    result = besieged.attack(name, 0.4, after=0.0, usual=0.0, patience=PATIENCE, counted=counted)
    wait_for(lambda: server.health()["sockets"] == 0, "the end of the sockets")
    steps = server.health()["computed_steps"]

    assert result.seen.served, f"somebody got nothing: {result}"
    assert not counted or counted in result.notes, result.notes
    assert not never or never not in result.notes, result.notes

    wait_for(lambda: idle(server), "the end of the attackers' work")
    assert server.health()["computed_steps"] == steps, "nobody is left who could have asked for more"
    wait_for(lambda: len(alive(server.workers())) <= workers, "the end of processes that are too many")
    assert gauge.highest(0) - gauge.samples[0].memory < GROWTH, result
    assert server.process.poll() is None
    log = server.log.read_bytes()[logged:].decode(errors="replace")
    assert "Traceback" not in log, log


def test_a_race_that_is_too_heavy_is_refused_in_words_and_one_that_fits_is_offered(server, client):
    steps = server.health()["computed_steps"]
    header = client.ask({"kind": "lab", "id": 1, "values": _attacks.HEAVY, "until": 60})[0]
    assert (header["kind"], header["id"]) == ("lab", 1)
    refused = header["refused"]
    assert set(refused) == {"text", "fix", "label"} and "seed" in refused["text"], refused
    assert server.health()["computed_steps"] == steps
    fitting = _attacks.HEAVY | refused["fix"]
    header = client.ask({"kind": "lab", "id": 2, "values": fitting, "until": 0})[0]
    assert (header["kind"], header["refused"]) == ("lab", None)
    assert client.receive()[0]["kind"] == "frames"


@pytest.mark.parametrize("url", ["http://192.0.2.1:80", "http://example.org:80", "http://127.0.0.1", "x", ""])
def test_only_this_machine_can_be_attacked(url):
    with pytest.raises(ValueError, match="no address of this machine"):
        Target(url, 0, 1.0)
    assert loopback("http://127.0.0.1:8501") == ("127.0.0.1", 8501)


def test_a_dark_screen_counts_with_its_age_and_a_picture_that_stands_still_from_when_it_stood():
    watcher = Watcher("http://127.0.0.1:1", 7)
    watcher.open_race(100.0)
    watcher.frames = [0, 0]
    assert watcher.still.since(0.0, 105.0) == [(100.0, 5.0)]
    watcher.arrive(106.0, 0, 10)
    assert watcher.still.ended == [] and not watcher.shown.is_set(), "one of two lanes is no picture"
    watcher.arrive(107.0, 1, 10)
    assert watcher.still.ended == [(100.0, 7.0)] and watcher.shown.is_set()
    watcher.move(107.1)
    assert watcher.place == pytest.approx(3) and watcher.still.open == {}
    watcher.move(109.0)
    assert watcher.place == 9 and watcher.still.since(0.0, 110.0)[1] == pytest.approx((107.3, 2.7))
    watcher.arrive(109.5, 0, 5)
    watcher.arrive(110.5, 1, 1)
    assert watcher.still.ended[1] == pytest.approx((107.3, 3.2))
    assert watcher.latencies(107.0, 107.5) == pytest.approx([1 / 30] * 2)
    assert watcher.latencies(108.3, 108.5) == pytest.approx([2.2 + 1 / 30])
    assert watcher.still.since(110.0, 111.0) == [pytest.approx((110.0, 0.5))]


def test_an_attack_ends_at_the_stop_and_what_it_opened_is_closed(server, monkeypatch):
    result = {}

    async def attacked(target):
        result["raw"] = await target.open()
        target.notes["opened"] += 1
        await asyncio.sleep(PATIENCE)

    before = server.health()["sockets"]
    stop = multiprocessing.get_context("spawn").Event()
    stop.set()
    monkeypatch.setattr(attack, "_stop", stop, raising=False)
    _, notes = attack.run(attacked, server.url, server.process.pid, PATIENCE, True, "opened")
    assert notes == {"opened": 1} and result["raw"].link.fileno() < 0
    wait_for(lambda: server.health()["sockets"] == before, "the end of the socket")
