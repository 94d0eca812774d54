"""Which function a job's kind is, and what becomes of a job when that function fails."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast
from uuid import UUID

import psycopg
import structlog
from procrastinate import App, BaseRetryStrategy, JobContext, RetryDecision
from procrastinate.exceptions import JobAborted
from procrastinate.job_context import AbortReason
from procrastinate.jobs import Job

from groundwork.assembly import Platform
from groundwork.errors import Busy, GroundworkError, Unavailable
from groundwork.store.jobs import TASK_PREFIX

log = structlog.get_logger()

MOST_ATTEMPTS = 8
"""A fault that may pass is given up after this many attempts in a row in which the job did not get on."""

_LONGEST_WAIT_SECONDS = 300
_PASSING = (Unavailable, Busy, psycopg.OperationalError, asyncio.CancelledError)
"""What may be gone at the next attempt; everything else will not."""

_PROGRESS_SECONDS = 0.5


class _LaterError(Exception):
    """An attempt failed for a reason that may pass."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"tried again in {seconds} s")
        self.seconds = seconds


class Reporter:
    """How a running job tells its progress, and learns that it should stop."""

    def __init__(self, platform: Platform, context: JobContext, job_id: UUID) -> None:
        self._platform = platform
        self._context = context
        self._job_id = job_id
        self._told = 0.0
        self._latest: dict[str, Any] | None = None
        self._writing: asyncio.Task[None] | None = None
        self._began_with: int | None = None
        self.got_on = False
        """Whether this attempt has done something that stays done."""

    def __call__(self, progress: Mapping[str, Any]) -> None:
        """Notes progress, at most twice a second. Raises JobAborted when somebody cancelled the job."""
        if self._context.should_abort():
            raise JobAborted
        self._latest = dict(progress)
        done = _achieved(progress)
        self._began_with = done if self._began_with is None else self._began_with
        self.got_on = self.got_on or done > self._began_with
        now = time.monotonic()
        if now - self._told >= _PROGRESS_SECONDS and (self._writing is None or self._writing.done()):
            self._told = now
            self._writing = asyncio.create_task(self._write())

    async def settle(self) -> None:
        """Waits for what is being written, and writes what is not yet."""
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)
            await asyncio.gather(self._write(), return_exceptions=True)

    async def _write(self) -> None:
        latest, self._latest = self._latest, None
        if latest is not None:
            await self._platform.jobs.progressed(self._job_id, latest, self.got_on)


def _achieved(progress: Mapping[str, Any]) -> int:
    """How much a job has done that stays done; what a sync finds unchanged is not that."""
    kept = [progress[key] for key in ("added", "updated", "computed") if key in progress]
    return sum(kept) if kept else progress["done"]


Work = Callable[[Platform, Mapping[str, Any], Reporter], Awaitable[Mapping[str, Any]]]


async def _sync(platform: Platform, arguments: Mapping[str, Any], report: Reporter) -> Mapping[str, Any]:
    return await platform.sync_source(UUID(arguments["source_id"]), report)


async def _upload(platform: Platform, arguments: Mapping[str, Any], report: Reporter) -> Mapping[str, Any]:
    content_hash = bytes.fromhex(arguments["content_hash"])
    return await platform.take_upload(UUID(arguments["document_id"]), report, content_hash)


async def _space_build(platform: Platform, arguments: Mapping[str, Any], report: Reporter) -> Mapping[str, Any]:
    return await platform.spaces.build(arguments["space"], report)


async def _space_drop(platform: Platform, arguments: Mapping[str, Any], report: Reporter) -> Mapping[str, Any]:
    return await platform.spaces.drop(arguments["space"], report)


KINDS: dict[str, Work] = {"sync": _sync, "upload": _upload, "space_build": _space_build, "space_drop": _space_drop}


class _Retry(BaseRetryStrategy):
    """Again when the fault may pass; at once when only the worker had to stop."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        if isinstance(exception, asyncio.CancelledError):
            return RetryDecision(retry_in={"seconds": 0})
        return RetryDecision(retry_in={"seconds": exception.seconds}) if isinstance(exception, _LaterError) else None


def register(app: App) -> None:
    """Makes every kind known to the queue's library; once per application."""
    for kind, work in KINDS.items():
        if TASK_PREFIX + kind not in app.tasks:
            app.task(name=TASK_PREFIX + kind, retry=_Retry(), pass_context=True)(_runs(work))


def _runs(work: Work) -> Callable[..., Awaitable[None]]:
    async def run(context: JobContext, job_id: str) -> None:
        given = cast("dict[str, Any]", context.additional_context)
        platform: Platform = given["platform"]
        key = UUID(job_id)
        arguments, setbacks = await platform.jobs.started(key, given["runner"])
        report = Reporter(platform, context, key)
        try:
            result = await work(platform, arguments, report)
        except BaseException as error:
            # The queue's library stops a job by cancelling its task, whether a person asked or the worker ends.
            ended = JobAborted() if context.abort_reason() is AbortReason.USER_REQUEST else error
            await report.settle()
            tries = 1 if report.got_on else setbacks + 1
            again = isinstance(ended, _PASSING) and tries < MOST_ATTEMPTS
            await _note_failure(platform, key, ended, again)
            if again and not isinstance(ended, asyncio.CancelledError):
                raise _LaterError(min(2**tries, _LONGEST_WAIT_SECONDS)) from error
            raise ended from error
        await report.settle()
        await platform.jobs.succeeded(key, result)

    return run


async def _note_failure(platform: Platform, job_id: UUID, error: BaseException, again: bool) -> None:
    try:
        kind = error.kind if isinstance(error, GroundworkError) else "internal"
        await asyncio.shield(platform.jobs.failed(job_id, _reason(error), kind, final=not again))
    except Unavailable:
        log.warning("the end of a job could not be noted", job=str(job_id))


def _reason(error: BaseException) -> str:
    if isinstance(error, GroundworkError):
        return error.message
    if isinstance(error, JobAborted):
        return "Cancelled while it ran."
    if isinstance(error, asyncio.CancelledError):
        return "Its worker was stopped; it goes on when a worker runs again."
    log.error("job failed", exc_info=error)
    return f"Something unforeseen went wrong: {error!r}. The log holds the details."
