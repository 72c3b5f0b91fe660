"""A real server and a real Chromium for the tests in this folder."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import suppress
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from book.registry import pages
from tests.browser.gestures import address
from tests.browser.opened import LOBBY, Opened, arrive, follow, heard, show, watched
from tests.server import CHROMIUM_FLAGS, Server, chromium_path

# States are waited for, and a busy machine may take its time to reach them.
PATIENCE = 120_000  # milliseconds
expect.set_options(timeout=PATIENCE)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say with a failure what its page showed."""
    report = yield
    page = item.funcargs.get("page") if isinstance(item, pytest.Function) else None
    if report.when == "call" and report.failed and isinstance(page, Page):
        with suppress(PlaywrightError):
            seen = f"{page.url}\n{page.locator('body').aria_snapshot(timeout=5000)}"
            report.sections.append(("the page", seen[:6000]))
    return report


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    running = Server(app="tests.app:app")
    yield running
    running.stop()


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    """A browser for contexts of one's own: with touch, on a phone, with reduced motion."""
    browser = playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_FLAGS)
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def profile(
    playwright: Playwright, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BrowserContext]:
    """A browser with a folder of its own: compiled scripts stay there, and a page opens in half the time.

    Its pages share a process, which an empty page of the server keeps: none has to be started for the next.
    """
    profile = playwright.chromium.launch_persistent_context(
        tmp_path_factory.mktemp("profile"), executable_path=chromium_path(),
        args=[*CHROMIUM_FLAGS, "--process-per-site"],
        viewport={"width": 1440, "height": 900}, base_url=server.url,
    )  # fmt: skip
    profile.set_default_timeout(PATIENCE)
    profile.pages[0].goto("/health")
    yield profile
    profile.close()


@pytest.fixture(scope="session")
def touched(chromium: Browser, server: Server) -> Iterator[BrowserContext]:
    """The browser of a phone, which keeps what it has loaded."""
    phone = chromium.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, base_url=server.url
    )
    phone.set_default_timeout(PATIENCE)
    yield phone
    phone.close()


def forget(context: BrowserContext, server: Server, page: Page) -> None:
    """Have a browser forget all that it remembers of the server; any of its pages will do."""
    context.clear_cookies()
    context.clear_permissions()
    session = context.new_cdp_session(page)
    session.send("Storage.clearDataForOrigin", {"origin": server.url, "storageTypes": "all"})
    session.detach()


@pytest.fixture
def context(profile: BrowserContext, server: Server) -> Iterator[BrowserContext]:
    """The browser as if nobody had used it: a test's pages are closed after it, and nothing is remembered."""
    others = profile.pages  # an empty one, and what tests of a module look at
    yield profile
    for page in profile.pages:
        if page not in others:
            page.close()
    forget(profile, server, others[0])


@pytest.fixture
def fresh(context: BrowserContext) -> Iterator[Page]:
    """A page that fails its test when a script on it fails."""
    with watched(context) as page:
        yield page


@pytest.fixture
def page(fresh: Page) -> Page:
    """The page of a test; a module whose tests needn't load theirs takes `inside` for it."""
    return fresh


@pytest.fixture(scope="module")
def lobby(profile: BrowserContext) -> Iterator[tuple[Page, list[str]]]:
    """A chapter that stays open for a module's tests, and what has failed on it."""
    page = profile.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    arrive(page)
    yield page, errors
    page.close()


@pytest.fixture
def inside(
    lobby: tuple[Page, list[str]], profile: BrowserContext, server: Server, request: pytest.FixtureRequest
) -> Iterator[Page]:
    """A page on which a chapter is open: from there a test enters another one, for which nothing is loaded.

    What was entered is left behind, and forgotten.
    """
    page, errors = lobby
    failed = request.session.testsfailed
    yield page
    found = errors.copy()
    if found or request.session.testsfailed > failed:
        page.goto("about:blank")
        arrive(page)
    else:
        page.mouse.move(0, 0)
        page.set_viewport_size({"width": 1440, "height": 900})
        page.emulate_media(color_scheme="null", reduced_motion="null")
        if address(page) != LOBBY:
            follow(page, LOBBY)
    errors.clear()
    forget(profile, server, page)
    assert not found


@pytest.fixture
def asked(page: Page) -> list[dict[str, Any]]:
    """The views and races that a test's page asks for, without their numbers."""
    return heard(page)


@pytest.fixture(scope="session", params=pages())
def opened(profile: BrowserContext, request: pytest.FixtureRequest) -> Iterator[Opened]:
    """Every page, loaded once for all tests that look at it; pytest takes those of a page in one go."""
    with watched(profile) as page:
        asked = heard(page)
        show(page, f"/{pages()[request.param].path}")
        yield Opened(page, request.param, list(asked))


@pytest.fixture
def phone(touched: BrowserContext, server: Server) -> Iterator[Page]:
    """A page on a phone held upright, which fails its test when a script on it fails."""
    with watched(touched) as page:
        yield page
        forget(touched, server, page)
