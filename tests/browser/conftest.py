"""A real server and a real Chromium for the tests in this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

from tests.server import CHROMIUM_FLAGS, Server, chromium_path

# States are waited for, and a busy machine may take its time to reach them.
PATIENCE = 120_000  # milliseconds
expect.set_options(timeout=PATIENCE)


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
    """A browser with a folder of its own: compiled scripts stay there, and a page opens in half the time."""
    profile = playwright.chromium.launch_persistent_context(
        tmp_path_factory.mktemp("profile"), executable_path=chromium_path(), args=CHROMIUM_FLAGS,
        viewport={"width": 1440, "height": 900}, base_url=server.url,
    )  # fmt: skip
    profile.set_default_timeout(PATIENCE)
    yield profile
    profile.close()


@pytest.fixture
def context(profile: BrowserContext, server: Server) -> Iterator[BrowserContext]:
    """The browser as if nobody had used it: no page is open but an empty one, and nothing is remembered."""
    yield profile
    empty, *others = profile.pages
    for page in others:
        page.close()
    profile.clear_cookies()
    profile.clear_permissions()
    session = profile.new_cdp_session(empty)
    session.send("Storage.clearDataForOrigin", {"origin": server.url, "storageTypes": "all"})
    session.detach()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page that fails its test when a script on it fails."""
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    assert not errors
