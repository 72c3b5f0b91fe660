"""What is let in: routes, methods, names, origins; and what the server says of itself to whom."""

import asyncio
import contextlib
import http.client
import json
import socket

import psutil
import pytest
from starlette.requests import Request

from live.channel import Channel
from live.files import Files
from live.gate import MOST_ADDRESS, Gate, Hosts, host_of
from tests.scheduler import process_desk
from tests.server import ROOT

FILES = Files({"/lab-assets/1/bar.js": ROOT / "assets" / "bar.js"})
EXTENSIONS = {"websocket.http.response": {}}


def asked(path="/", method="GET", headers=None, kind="http", settings=None, base="", **more):
    """The status and the text that the gate answers; 0 and the scope if the app is asked."""
    came, sent = [], []

    async def app(scope, receive, send):
        came.append(scope)

    async def receive():
        raise AssertionError("the gate reads no body")

    async def send(message):
        sent.append(message)

    named = {"host": "localhost:8501"} | (headers or {})
    path, _, query = path.partition("?")
    scope = {
        "type": kind, "method": method, "path": path, "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in named.items() if value is not None],
        "extensions": EXTENSIONS if kind == "websocket" else {},
    } | more  # fmt: skip
    asyncio.run(Gate(app, FILES, base, Hosts(settings or {}))(scope, receive, send))
    if came:
        return 0, came[0]
    start, *rest = sent
    if kind == "http" and start["status"] != 200:
        assert (b"connection", b"close") in start["headers"]
    return start["status"], b"".join(message["body"] for message in rest).decode()


# --- routes ---------------------------------------------------------------------------------------------

PAGES = ["/", "/one-batch", "/training-lab", "/training-lab/", "/nonsense", "/größe", "/a b"]


@pytest.mark.parametrize(
    "path", [*PAGES, "/training-lab?lanes=none", "/health", "/_stcore/health", "/_stcore/host-config"]
)
def test_what_the_pages_use_is_let_through(path):
    for method in ("GET", "HEAD"):
        assert asked(path, method)[0] == 0


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/_stcore/metrics",
            "/_stcore/upload_file/a/b",
            "/_stcore/script-health-check",
            "/_stcore/agent/mcp",
        ),
        *("/_stcore/agent/openapi.json", "/_stcore/bidi-components/x/y.js", "/_stcore", "/_stcore/stream"),
        *("/auth/login", "/auth", "/oauth2callback", "/component/x/index.html", "/media/x.png", "/media"),
        *("/live", "/static/js/none.js", "/app/static/x", "/lab-assets/1/none.js", "/lab-assets/1/../bar.js"),
        *(
            "/robots.txt",
            "/manifest.json",
            "/one-batch/_stcore/health",
            "/nonsense/deep",
            "//",
            "//evil.example",
        ),
        *("/..", "/x\\y", "/\x00", "/a/b/c"),
    ],
)
def test_everything_else_is_not(path):
    status, text = asked(path)
    assert status == 404 and text.endswith(" The lab begins at /.\n") and text[:-1].isprintable()


def test_a_reader_who_mistyped_an_address_finds_a_way_on():
    status, page = asked("/<b>/x&y", headers={"accept": "text/html,*/*"}, base="/lab")
    assert status == 404 and '<a href="/lab/">' in page
    assert "There is nothing at /&lt;b&gt;/x&amp;y." in page and "<b>" not in page


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "NONSENSE"]
)
def test_nothing_can_be_sent_here(method):
    for path in ("/", "/_stcore/upload_file/a/b", "/lab-assets/1/bar.js"):
        status, text = asked(path, method)
        assert status == 405 and method in text


@pytest.mark.parametrize(
    "header", [{"content-length": "1"}, {"content-length": "x"}, {"transfer-encoding": "chunked"}]
)
def test_a_body_is_refused_unread(header):
    assert asked("/", headers=header)[0] == 413
    assert asked("/", headers={"content-length": "0"})[0] == 0


def test_an_address_has_a_greatest_length():
    assert asked("/training-lab?" + "x" * (MOST_ADDRESS - 13))[0] == 0
    assert asked("/training-lab?" + "x" * (MOST_ADDRESS - 12))[0] == 414


def test_below_another_address_all_is_the_same():
    assert asked("/lab/one-batch", base="/lab")[0] == asked("/lab", base="/lab")[0] == 0
    assert asked("/lab/lab-assets/1/bar.js", base="/lab")[0] == 200
    assert asked("/lab/auth/login", base="/lab")[0] == 404
    assert asked("/lab/auth/login", root_path="/lab")[0] == 404
    assert (
        asked("/lab/live", kind="websocket", headers={"origin": "http://localhost:8501"}, base="/lab")[0] == 0
    )


def test_lifespan_is_the_apps():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    asyncio.run(Gate(app, FILES)({"type": "lifespan"}, None, None))
    assert seen == ["lifespan"]


# --- names ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "settings"),
    [
        *(
            (host, {})
            for host in ("localhost", "LocalHost:8501", "127.0.0.1:80", "[::1]:8501", "192.168.1.9")
        ),
        *(
            (host, {})
            for host in ("lecture", "LECTURE:8501", "lecture.local", "lecture.uni.example", "localhost.")
        ),
        ("lab.example", {"BNLAB_HOST": "lab.example"}),
        ("b.example:443", {"BNLAB_HOSTS": "a.example B.example"}),
        ("a.uni.example", {"BNLAB_HOSTS": "*.uni.example"}),
        ("anything.example", {"BNLAB_HOSTS": "*"}),
        ("public.example", {"BNLAB_ORIGINS": "https://public.example:444 http://["}),
    ],
)
def test_the_servers_own_names_are_known(monkeypatch, host, settings):
    monkeypatch.setattr(socket, "gethostname", lambda: "Lecture")
    monkeypatch.setattr(socket, "getfqdn", lambda: "lecture.uni.example")
    assert asked(headers={"host": host}, settings=settings)[0] == 0


STRANGE = [
    *("evil.example", "evil.example:8501", "localhost.evil.example", "127.0.0.1.evil.example", "local", ""),
    *(
        "me@localhost",
        "localhost/x",
        "localhost:x",
        "[::1",
        "localhost?",
        "uni.example",
        None,
    ),
]


@pytest.mark.parametrize("host", STRANGE)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_a_name_that_a_stranger_gave_the_server_is_refused(host, kind):
    """With the origin that fits it, as a page would have that the stranger's name server sends here."""
    headers = {"host": host, "origin": f"http://{host}"}
    status, text = asked("/live" if kind == "websocket" else "/", headers=headers, kind=kind)
    assert status == 421 and "BNLAB_HOSTS" in text and host_of(host or "") in text


def test_the_machines_full_name_is_looked_up_once_and_beside_the_event_loop(monkeypatch):
    asked_for = []
    monkeypatch.setattr(socket, "getfqdn", lambda: asked_for.append(1) or "full.example")

    async def scenario():
        hosts = Hosts({})
        assert await hosts.allow("localhost") and not asked_for
        return await asyncio.gather(*(hosts.allow(name) for name in ("full.example", "evil.example") * 3))

    assert asyncio.run(scenario()) == [True, False] * 3 and asked_for == [1]


# --- origins --------------------------------------------------------------------------------------------

PUBLIC = {"BNLAB_ORIGINS": "https://public.example"}


@pytest.mark.parametrize("path", ["/live", "/_stcore/stream"])
@pytest.mark.parametrize(
    "origin", ["null", "http://evil.example", "http://localhost", "http://[", "", "https://public.example"]
)
def test_sockets_are_for_pages_of_this_server(path, origin):
    status, text = asked(path, kind="websocket", headers={"origin": origin})
    assert status == 403 and "BNLAB_ORIGINS" in text
    for own in ("http://localhost:8501", "https://LOCALHOST:8501"):
        assert asked(path, kind="websocket", headers={"origin": own})[0] == 0


def test_only_streamlits_socket_needs_no_origin_and_no_other_path_has_one():
    assert asked("/live", kind="websocket")[0] == 403
    assert asked("/_stcore/stream", kind="websocket")[0] == 0
    assert asked("/", kind="websocket")[0] == 404


def test_streamlit_sees_no_foreign_origin():
    """It would ask another server for this one's address, and everybody would wait for the answer."""
    _, scope = asked("/_stcore/health", headers={"origin": "http://evil.example"})
    assert b"origin" not in dict(scope["headers"])
    public = {"origin": "https://public.example", "host": "10.1.1.1:8501"}
    _, scope = asked("/_stcore/stream", kind="websocket", headers=public, settings=PUBLIC)
    assert dict(scope["headers"])[b"host"] == b"public.example"


def test_a_socket_is_refused_without_words_where_the_server_can_say_none():
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "websocket", "path": "/x", "query_string": b"", "headers": [(b"host", b"localhost")]}
    asyncio.run(Gate(None, FILES)(scope, None, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


# --- health ---------------------------------------------------------------------------------------------

FIGURES = {"recordings", "bytes", "computed_steps", "sockets", "unread"}


@pytest.mark.parametrize(
    ("client", "header", "setting", "told"),
    [
        ("127.0.0.1", None, None, True),
        ("::1", None, None, True),
        ("::ffff:127.0.0.1", None, None, True),
        ("10.0.0.9", None, None, False),
        ("10.0.0.9", None, "all", True),
        ("127.0.0.1", "x-forwarded-for", None, False),
        ("127.0.0.1", "forwarded", None, False),
        ("testclient", None, None, False),
        (None, None, None, False),
    ],
)
def test_figures_are_for_who_sits_at_the_machine(monkeypatch, client, header, setting, told):
    if setting:
        monkeypatch.setenv("BNLAB_FIGURES", setting)
    scope = {
        "type": "http",
        "client": client and (client, 1),
        "headers": [(header.encode(), b"1.2.3.4")] if header else [],
    }
    answer = asyncio.run(Channel(process_desk()).health(Request(scope)))
    assert set(json.loads(answer.body)) == {"alive"} | (FIGURES if told else set())


# --- the lab's own server -------------------------------------------------------------------------------


def fetched(server, path, method="GET", body=None, **headers):
    """The status and the text that the server answers."""
    line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        line.request(method, path, body, headers)
        answer = line.getresponse()
        return answer.status, answer.read().decode()
    finally:
        line.close()


def test_an_upload_is_refused_and_stays_nowhere(server):
    process = psutil.Process(server.process.pid)
    server.health()
    before = process.memory_info().rss
    for _ in range(15):
        with contextlib.suppress(OSError):  # closed while there was still something to send
            assert fetched(server, "/_stcore/upload_file/a/b", "PUT", b"x" * 20_000_000)[0] == 405
    assert process.memory_info().rss - before < 10 * 2**20
    assert fetched(server, "/_stcore/upload_file/a/b", "PUT")[0] == 405


def test_the_server_serves_its_pages_and_nothing_else(server):
    for path in ("/", "/one-batch", "/nonsense"):
        status, text = fetched(server, path)
        assert status == 200 and "<title>Streamlit</title>" in text
    for path in ("/_stcore/metrics", "/auth/login", "/nonsense/deep", "/media/x"):
        assert fetched(server, path)[0] == 404
    assert fetched(server, "/", host="evil.example")[0] == 421
