"""Files of the pages, from memory."""

import asyncio
import gzip
import http.client
import os

import pytest

from live import files
from live.files import PIECE, Files
from tests.server import ROOT


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "long.js").write_bytes(b"let x = 1;\n" * 100_000)
    (tmp_path / "noise.woff2").write_bytes(os.urandom(3 * PIECE))
    (tmp_path / "empty.css").write_bytes(b"")
    return tmp_path


async def answered(app, address, encoding="gzip, br"):
    """The headers and the bytes of a file, which comes in pieces."""
    sent = []

    async def send(message):
        sent.append(message)

    await app(address, {"headers": [(b"accept-encoding", encoding.encode())]}, send)
    start, *bodies = sent
    assert start["status"] == 200
    assert [message["more_body"] for message in bodies] == [True] * (len(bodies) - 1) + [False]
    assert all(len(message["body"]) <= PIECE for message in bodies)
    content = b"".join(message["body"] for message in bodies)
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    assert int(headers["content-length"]) == len(content)
    return headers, content


def test_a_file_is_its_bytes_compressed_where_that_helps(folder):
    app = Files({"/x": folder, "/one.js": folder / "below" / "long.js"})
    addresses = ["/x/below/long.js", "/x/noise.woff2", "/x/empty.css", "/one.js"]
    assert all(address in app for address in addresses)
    for address in addresses:
        content = (folder / ("below/long.js" if "js" in address else address[3:])).read_bytes()
        headers, plain = asyncio.run(answered(app, address, ""))
        assert plain == content and "content-encoding" not in headers
        packed_headers, packed = asyncio.run(answered(app, address))
        if address.endswith(".js"):
            assert packed_headers["content-encoding"] == "gzip" and gzip.decompress(packed) == content
            assert packed_headers["content-type"] == "text/javascript; charset=utf-8"
        else:
            assert "content-encoding" not in packed_headers and packed == content
        assert "immutable" in headers["cache-control"] and headers["vary"] == "accept-encoding"


def test_nothing_else_is_there(folder):
    app = Files({"/x": folder / "below"})
    for address in (
        "/x",
        "/x/",
        "/x/below",
        "/x/../noise.woff2",
        "/noise.woff2",
        "/x/long.js/",
        "/x//long.js",
        "",
    ):
        assert address not in app


def test_a_file_is_read_and_compressed_once_however_many_ask(folder, monkeypatch):
    made, make = [], files._make
    monkeypatch.setattr(files, "_make", lambda *which: made.append(which) or make(*which))
    app = Files({"/x": folder})

    async def scenario():
        first = await asyncio.gather(*(answered(app, "/x/below/long.js") for _ in range(5)))
        return [*first, await answered(app, "/x/below/long.js")]

    answers = asyncio.run(scenario())
    assert answers == answers[:1] * 6 and len(made) == 1


def test_between_the_pieces_of_a_file_others_have_their_turn(folder):
    app = Files({"/x": folder})

    async def scenario():
        await answered(app, "/x/noise.woff2")
        turns, sent = 0, asyncio.create_task(answered(app, "/x/noise.woff2"))
        while not sent.done():
            await asyncio.sleep(0)
            turns += 1
        return turns

    assert asyncio.run(scenario()) >= 3


def test_what_could_not_be_read_is_tried_again(folder):
    app = Files({"/x": folder})

    async def scenario():
        (folder / "empty.css").unlink()
        with pytest.raises(FileNotFoundError):
            await answered(app, "/x/empty.css")
        (folder / "empty.css").write_bytes(b"a{}")
        return await answered(app, "/x/empty.css")

    assert asyncio.run(scenario())[1] == b"a{}"


def test_every_file_of_a_page_is_served_for_good(server):
    from ui import assets

    places = assets.places()
    app = Files(places)
    ours = [path.name for path in sorted((ROOT / "assets").glob("*.[jc]s*"))]
    addresses = [f"{assets.MOUNT}/{name}" for name in ours]
    assert len(addresses) > 40 and all(address in app for address in addresses)
    assert f"{assets.MOUNT}/tests/exchange.test.js" not in app
    line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    static = [address for address in app if address.startswith("/static/js/index.")]
    for address in [*addresses[:3], assets.PLOTLY, "/favicon.png", *static]:
        line.request("GET", address, headers={"accept-encoding": "gzip"})
        answer = line.getresponse()
        content = answer.read()
        assert answer.status == 200 and "immutable" in answer.headers["cache-control"]
        if answer.headers["content-encoding"]:
            content = gzip.decompress(content)
        assert content == app.path(address).read_bytes()
    line.close()
