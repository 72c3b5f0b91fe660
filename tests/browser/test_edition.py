"""The edition without a server in a real browser: the same walk as with one, and what it alone promises."""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from book.registry import chapters, pages
from tests.browser.gestures import at_rest, wait_for_address
from tests.dist import built
from tests.server import Server

pytestmark = pytest.mark.browser

PLACE = "/courses/week-3"  # any path will do
FAILED = re.compile("violates|Traceback")  # the policy, or Python
PLAYED = re.compile(r"^\d{2,}$")  # a step of two digits
LIVE = "Everything is computed in your browser."
ASKING = {name: one for name, one in chapters().items() if any(scene.choices for scene in one.scenes)}


class Quiet(SimpleHTTPRequestHandler):
    """A host of files as `python -m http.server` is one, with the edition at a path of its own."""

    def translate_path(self, path: str) -> str:
        """Find files below `PLACE`, and nothing elsewhere."""
        place, _, rest = path.partition(PLACE)
        return super().translate_path(rest if not place else "/nothing")

    def log_message(self, *words: object) -> None:
        """Say nothing."""


class Host:
    """A static host on a port of its own, which can go away and come back."""

    def __init__(self, folder: Path) -> None:
        self._serve = functools.partial(Quiet, directory=str(folder))
        self._port = 0
        self.start()

    def start(self) -> None:
        """Serve."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), self._serve)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Go away."""
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """The address of the first page, without a slash at its end."""
        return f"http://127.0.0.1:{self._port}{PLACE}"


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    host = Host(built())
    yield host
    host.stop()


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Open a browser of one's own; its page fails the test when a script fails or another host is asked."""
    opened: list[BrowserContext] = []
    errors: list[str] = []
    asked: list[str] = []

    def open_page() -> Page:
        context = chromium.new_context(viewport={"width": 1440, "height": 900})
        context.set_default_timeout(60_000)
        context.on("request", lambda request: asked.append(request.url))
        opened.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if FAILED.search(said.text) else None)
        return page

    yield open_page
    for context in opened:
        context.close()
    assert not errors
    assert asked and {urlsplit(url).hostname for url in asked if url.startswith("http")} == {"127.0.0.1"}


def live(page: Page) -> None:
    """Wait until Python is there."""
    expect(page.locator("#progress")).to_contain_text(LIVE, timeout=120_000)


def answer_the_first_question(page: Page, name: str) -> str:
    """Predict, and return what is said then; the page shows a chapter's first question, open."""
    scene = next(scene for scene in chapters()[name].scenes if scene.choices)
    at_rest(page)
    expect(page.locator(".choices button").first).to_be_enabled()
    assert page.locator(".choices .right").count() == 0
    page.locator(".choices button").nth(1).click()
    expect(page.locator(".choices .right")).to_be_visible(timeout=120_000)
    at_rest(page)
    wait_for_address(page, rf"guesses={scene.name}%3A1")
    said = page.locator(".said").inner_text()
    assert len(said) > 40 and "nan" not in said
    return re.sub(r"\s+", " ", said)


def go_to(page: Page, name: str) -> None:
    """Go to a page by the bar of chapters."""
    row = page.locator("nav.chapters .row")
    link = row.locator("a", has_text=re.compile(f"^{re.escape(pages()[name].title)}$"))
    if not link.is_visible():
        row.locator("details", has=page.get_by_text(pages()[name].title, exact=True)).locator(
            "summary"
        ).click()
    link.click()
    expect(page.locator("h1")).to_have_text(pages()[name].question)


@pytest.mark.parametrize("way", ["with a server", "without"])
def test_every_chapters_first_question_is_answered_and_its_link_opens_in_the_other_edition(
    way: str, server: Server, host: Host, visit: Callable[..., Page]
) -> None:
    """Two chapters go from the server to the folder, where each link loads Python; the others go back."""
    url, other_url = (server.url, host.url) if way == "with a server" else (host.url, server.url)
    names = list(ASKING)[:2] if way == "with a server" else list(ASKING)[2:]
    page, other = visit(), visit()
    page.goto(url + "/")
    page.evaluate("window.kept = true")
    for name in names:
        go_to(page, name)
        said = answer_the_first_question(page, name)
        assert page.evaluate("window.kept"), "the page was not loaded anew"
        other.goto(other_url + page.url.removeprefix(url))
        expect(other.locator(".choices .chosen")).to_have_attribute("data-choice", "1", timeout=120_000)
        at_rest(other)
        expect(other.locator(".said")).to_have_text(said, use_inner_text=True, timeout=120_000)


def test_first_pictures_and_first_answers_are_there_without_python(
    host: Host, visit: Callable[..., Page]
) -> None:
    page = visit()
    page.context.route("**/python/*", lambda route: route.abort())
    for name in pages():
        page.set_viewport_size({"width": 1440, "height": 900})
        page.goto(f"{host.url}/{pages()[name].path}")
        expect(page.locator("h1")).to_have_text(pages()[name].question)
        page.locator(".lab:is([data-shown], [data-step])").wait_for()
        assert page.locator("figure canvas:visible").count()
        assert page.evaluate("document.documentElement.scrollWidth") <= 1440, name
        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
        if name in chapters() and chapters()[name].scenes:
            page.locator(".choices button").first.click()
            expect(page.locator(".choices .right")).to_be_visible()
    expect(page.locator("#progress")).to_contain_text("Reload")


def test_an_answer_is_judged_and_a_race_played_before_python_is_there(
    host: Host, visit: Callable[..., Page]
) -> None:
    page, held = visit(), list[Route]()
    page.context.route("**/python/*", lambda route: held.append(route))
    page.goto(host.url + "/one-batch")
    page.locator(".choices button").nth(1).click()
    expect(page.locator(".choices .right")).to_have_text("at 2")
    expect(page.locator(".verdict")).to_contain_text("mean 201")
    page.goto(host.url + "/training-lab")
    page.locator(".lab[data-step]").wait_for()
    page.get_by_role("button", name="Skip the question").click()  # and it is played
    expect(page.locator(".lab")).to_have_attribute("data-step", PLAYED)
    assert held, "Python is on its way"
    for route in held:
        route.continue_()


def test_a_second_visit_works_offline_and_keeps_the_answer(host: Host, visit: Callable[..., Page]) -> None:
    page = visit()
    page.goto(host.url + "/one-batch/")
    live(page)
    answer_the_first_question(page, "one_batch")
    page.wait_for_function("() => navigator.serviceWorker.ready.then((found) => !!found.active)")
    page.wait_for_function(KEPT, timeout=60_000)
    host.stop()
    try:
        page.reload()
        live(page)
        expect(page.locator(".choices .chosen")).to_have_attribute("data-choice", "1")
        go_to(page, "placement")
        answer_the_first_question(page, "placement")
    finally:
        host.start()


# Whether the service worker has all files of the edition.
KEPT = """async () => {
  for (const name of await caches.keys()) {
    const kept = await (await caches.open(name)).keys();
    if (kept.some((one) => one.url.endsWith(".whl")) && kept.length > 100) return true;
  }
  return false;
}"""


def test_a_race_is_computed_here_and_what_cannot_be_says_so(host: Host, visit: Callable[..., Page]) -> None:
    page = visit()
    page.goto(host.url + "/training-lab?depth=2&width=16&replicas=2&batch_size=16&lr=0.02")
    live(page)
    expect(page.locator(".lab")).to_have_attribute("data-step", PLAYED)
    page.locator("summary", has_text="Check against PyTorch").click()
    page.get_by_role("button", name="Compare every lane with PyTorch").click()
    expect(page.locator(".lab")).to_contain_text("This edition has no PyTorch")


def test_nonsense_in_the_address_is_named_and_a_file_is_taken_away(
    host: Host, visit: Callable[..., Page]
) -> None:
    page = visit()
    page.goto(host.url + "/gradients/?scene=nowhere&zzz=%22%27%3Cb%3E")
    expect(page.locator("#notices")).to_contain_text(
        "Part of this address could not be used", timeout=120_000
    )
    expect(page.locator("#notices")).to_contain_text("zzz is no setting")
    page.goto(host.url + "/one-batch/?scene=free")
    live(page)
    at_rest(page)
    page.get_by_text("Take it away").first.click()
    with page.expect_download() as download:
        page.get_by_role("button", name=re.compile("CSV")).click()
    assert "," in Path(download.value.path()).read_text("utf-8")
