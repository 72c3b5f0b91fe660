"""The app as the browser tests start it: a chapter's jobs are computed once for all servers of a run."""

from app import app  # noqa: F401
from book.chapter import Job
from live.session import Shelf
from tests.once import once

computed = Shelf.job


async def shared(shelf, job):
    """Have the pool look first whether the job has been done."""
    return await computed(shelf, Job(once, (job.function, *job.arguments), job.light))


Shelf.job = shared
