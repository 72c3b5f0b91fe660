"""What the build has measured is what would be measured, and nobody waits for what comes along."""

import asyncio
import gzip
import pickle

import numpy as np
import pytest

from book.registry import chapters, pages
from live.session import jobs_of
from live.track import Track
from static.inline import Inline
from static.measured import Measured, measure, results_in
from static.shell import NoChecks
from tests.scheduler import Sharing

PAGE = "placement"


@pytest.fixture(scope="module")
def content():
    return asyncio.run(measure(pages()[PAGE], Track(Sharing(), NoChecks())))


class Idle(Inline):
    """A scheduler that is asked for nothing."""

    async def run(self, function, *arguments, heavy=False):
        raise AssertionError(f"{function.__name__} is computed again")


def given(content):
    async def fetch():
        return content

    return fetch


def test_what_every_reader_meets_is_computed_by_none(content):
    async def scenario():
        chapter = chapters()[PAGE]
        track = Measured(Idle(), NoChecks(), given(content))
        for scene in chapter.scenes:
            await track.complete(chapter, chapter.settings(scene, {}))
            if scene.choices:
                answer = await track.answer(chapter, scene)
                await track.complete(chapter, answer.reveal | {"guesses": ((scene.name, 0),)})
        with pytest.raises(AssertionError, match="is computed again"):
            await track.complete(chapter, chapter.settings(chapter.scenes[1], {"seed": 7}))

    asyncio.run(scenario())


def test_results_are_read_by_an_older_numpy_however_they_lie_in_memory(monkeypatch):
    """Pyodide's NumPy is older than the one that measures."""

    async def measured():
        track = Track(Idle(), NoChecks())
        track.results.keep("turned", np.arange(24.0).reshape(2, 3, 4).transpose(1, 0, 2))
        return await measure(pages()["training_lab"], track)

    content = asyncio.run(measured())
    monkeypatch.setattr("numpy._core.numeric._frombuffer", lambda buffer, dtype, shape, order: None)
    assert results_in(content)["turned"][:, 1, 0].tolist() == [12.0, 16.0, 20.0]


def test_results_are_those_of_their_jobs(content):
    found = results_in(content)
    chapter = chapters()[PAGE]
    for scene in chapter.scenes[:2]:
        for job in jobs_of(chapter, chapter.settings(scene, {})).values():
            assert pickle.dumps(found[job]) == pickle.dumps(job.function(*job.arguments))


def test_files_of_several_pages_follow_one_another():
    one, other = ({"job": 1, "chapter": 2}, {"another": 3})
    both = b"".join(gzip.compress(pickle.dumps(results)) for results in (one, other))
    assert results_in(both) == one | other


@pytest.mark.parametrize("content", [OSError("away"), b"nonsense"])
def test_without_the_file_everything_is_computed(content, caplog):
    async def fetch():
        if isinstance(content, Exception):
            raise content
        return content

    async def scenario():
        track = Measured(Sharing(), NoChecks(), fetch)
        chapter = chapters()[PAGE]
        assert (await track.complete(chapter, chapter.settings(chapter.scenes[0], {}))).figures

    asyncio.run(scenario())
    assert "it is computed here" in caplog.text
