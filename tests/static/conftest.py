"""What the tests of the edition without a server share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dist import built


@pytest.fixture(scope="session")
def dist() -> Path:
    """The edition as it is published."""
    return built()
