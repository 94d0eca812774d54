"""Durable jobs: put into the queue in the caller's transaction, watched, cancelled and retried from anywhere.

Procrastinate owns the queue (`procrastinate_jobs`); the table `jobs` holds what people see. A job names its kind; only
`worker.tasks` knows which function that is. A running job belongs to a runner: a session of its worker process that
holds an advisory lock. When that process dies the lock goes with it, and the job is known to be orphaned at once.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, LiteralString
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from groundwork.clock import new_id, utc_now
from groundwork.errors import Conflict, NotFound
from groundwork.store.database import Database, Row
from groundwork.store.runner import LOCK_CLASS

if TYPE_CHECKING:
    from procrastinate import App

INTERACTIVE, BULK = "interactive", "bulk"
"""Queues: what a person waits for, and what may take its time. Each has workers of its own."""

OWN = "own-"
"""A queue of one process only, named by its runner; a command runs there what it queued."""

TASK_PREFIX = "groundwork."
MOST_DEATHS = 5
"""A job whose process died this often in a row without having got on is given up: it is the likely cause."""

_STATUS: LiteralString = """
CASE
  WHEN q.status = 'todo' AND q.attempts = 0 THEN 'waiting'
  WHEN q.status = 'todo' THEN 'retrying'
  WHEN q.status = 'doing' AND j.runner IS NOT NULL AND l.objid IS NULL THEN 'stalled'
  WHEN q.status = 'doing' AND q.abort_requested THEN 'cancelling'
  WHEN q.status = 'doing' THEN 'running'
  WHEN q.status = 'succeeded' THEN 'succeeded'
  WHEN q.status = 'failed' THEN 'failed'
  ELSE 'cancelled'
END
"""
_JOBS: LiteralString = (
    "SELECT * FROM (SELECT j.id, j.kind, j.title, "
    + _STATUS
    + " AS status, q.priority, q.attempts, j.progress, j.result, j.error, j.error_kind, j.arguments, j.created_at, j.started_at, "
    "j.finished_at, CASE WHEN q.status = 'todo' THEN q.scheduled_at END AS next_attempt_at, j.queue_id "
    "FROM jobs j JOIN procrastinate_jobs q ON q.id = j.queue_id "
    "LEFT JOIN pg_locks l ON l.locktype = 'advisory' AND l.granted AND l.classid = %(lock_class)s "
    "AND l.objid = j.runner AND l.objsubid = 2 "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())) AS seen "
)
_KEYS = (
    "id", "kind", "title", "status", "priority", "attempts", "progress", "result", "error", "error_kind", "arguments",
    "created_at", "started_at", "finished_at", "next_attempt_at",
)  # fmt: skip


@dataclass(frozen=True)
class Order:
    """A job to be done."""

    kind: str
    title: str
    arguments: Mapping[str, Any]
    queue: str = BULK
    lock: str | None = None
    """Jobs of the same lock never run at the same time."""


class Jobs:
    """The queue as features and faces see it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._app: App | None = None

    async def app(self) -> "App":
        """Procrastinate on this database's pool."""
        if self._app is None:
            import procrastinate  # start-up time

            app = procrastinate.App(connector=procrastinate.PsycopgConnector())
            await app.open_async(self._database.pool)
            self._app = app
        return self._app

    async def enqueue(self, connection: AsyncConnection, order: Order) -> UUID:
        """Puts a job into the queue, in the caller's transaction; its id."""
        job_id = new_id()
        await connection.execute(
            "INSERT INTO jobs (id, kind, title, arguments) VALUES (%s, %s, %s, %s)",
            (job_id, order.kind, order.title, Jsonb(dict(order.arguments))),
        )
        app = await self.app()
        deferrer = app.configure_task(
            name=TASK_PREFIX + order.kind,
            queue=order.queue,
            lock=order.lock,
            priority=10 if order.queue == INTERACTIVE else 0,
            connection=connection,
        )
        queue_id = await deferrer.defer_async(job_id=str(job_id))
        await connection.execute("UPDATE jobs SET queue_id = %s WHERE id = %s", (queue_id, job_id))
        return job_id

    async def page(
        self,
        status: str | None = None,
        kind: str | None = None,
        before: UUID | None = None,
        limit: int = 100,
        within: Collection[str] | None = None,
    ) -> list[dict[str, Any]]:
        """Jobs, newest first, as every face shows them: all, or those of collections `within` ("" for those of none)."""
        rows = await self._database.fetch(
            _JOBS + "WHERE (%(status)s::text IS NULL OR status = %(status)s) "
            "AND (%(kind)s::text IS NULL OR kind = %(kind)s) AND (%(before)s::uuid IS NULL OR id < %(before)s) "
            "AND (%(within)s::text[] IS NULL OR coalesce(arguments->>'collection', '') = ANY(%(within)s)) "
            "ORDER BY id DESC LIMIT %(limit)s",
            {
                "status": status,
                "kind": kind,
                "before": before,
                "limit": limit,
                "within": list(within) if within is not None else None,
                "lock_class": LOCK_CLASS,
            },
        )
        return [_body(row) for row in rows]

    async def show(self, job_id: UUID, within: Collection[str] | None = None) -> dict[str, Any]:
        """One job; one that is not `within`, as `page` takes it, is not there. Raises NotFound."""
        job = _body(await self._row(job_id))
        if within is not None and (job["arguments"].get("collection") or "") not in within:
            raise _missing(job_id)
        return job

    async def cancel(self, job_id: UUID) -> dict[str, Any]:
        """Cancels a job that waits, or asks one that runs to stop. Raises NotFound, Conflict when it has ended."""
        row = await self._row(job_id)
        app = await self.app()
        if not await app.job_manager.cancel_job_by_id_async(row[-1], abort=True):
            raise Conflict(f"Job {job_id} has ended ({row[3]}); there is nothing to cancel.")
        await self._database.fetch(
            "UPDATE jobs SET finished_at = now() FROM procrastinate_jobs q "
            "WHERE jobs.id = %s AND q.id = jobs.queue_id AND q.status = 'cancelled' RETURNING jobs.id",
            (job_id,),
        )
        return await self.show(job_id)

    async def retry(self, job_id: UUID) -> dict[str, Any]:
        """Queues a failed, cancelled or waiting-to-be-retried job again, now. Raises NotFound, Conflict."""
        row = await self._row(job_id)
        if row[3] not in {"failed", "cancelled", "retrying"}:
            raise Conflict(f"Job {job_id} is {row[3]}; only one that failed or was cancelled can be retried.")
        async with self._database.transaction() as connection:
            await connection.execute(
                "UPDATE jobs SET error = NULL, error_kind = NULL, result = NULL, finished_at = NULL, runner = NULL, setbacks = 0 "
                "WHERE id = %s",
                (job_id,),
            )
            await connection.execute(
                "UPDATE procrastinate_jobs SET status = 'todo', scheduled_at = NULL, abort_requested = false, "
                "worker_id = NULL, attempts = 0 WHERE id = %s AND status IN ('failed', 'cancelled', 'aborted', 'todo')",
                (row[-1],),
            )
        return await self.show(job_id)

    async def counts(self, ended: bool = False) -> dict[str, int]:
        """How many jobs are in each state that is not an end, or with `ended` in every state."""
        rows = await self._database.fetch(
            "SELECT status, count(*) FROM (" + _JOBS + ") AS counted "
            "WHERE %(ended)s OR status NOT IN ('succeeded', 'failed', 'cancelled') GROUP BY status",
            {"lock_class": LOCK_CLASS, "ended": ended},
        )
        return dict(rows)

    async def oldest_waiting_seconds(self) -> float:
        """How long the oldest job that could run has waited, in seconds; 0 when none waits."""
        row = await self._database.fetch_one(
            "SELECT coalesce(extract(epoch FROM now() - min(greatest(j.created_at, q.scheduled_at))), 0)::float "
            "FROM jobs j JOIN procrastinate_jobs q ON q.id = j.queue_id "
            "WHERE q.status = 'todo' AND (q.scheduled_at IS NULL OR q.scheduled_at <= now())"
        )
        return row[0] if row else 0.0

    async def adopt_waiting(self, connection: AsyncConnection, lock: str, queue: str) -> UUID | None:
        """Moves a job of that lock that waits to `queue`; its id, None when none waits.

        A job that waits covers whatever changed before it runs, so that a second one would do nothing.
        """
        cursor = await connection.execute(
            "UPDATE procrastinate_jobs q SET queue_name = %s, scheduled_at = NULL FROM jobs j WHERE j.queue_id = q.id "
            "AND q.id = (SELECT id FROM procrastinate_jobs WHERE lock = %s AND status = 'todo' ORDER BY id LIMIT 1 "
            "FOR UPDATE SKIP LOCKED) RETURNING j.id",
            (queue, lock),
        )
        row = await cursor.fetchone()
        return row[0] if row else None

    async def started(self, job_id: UUID, runner: int) -> tuple[dict[str, Any], int]:
        """Notes that `runner` has begun a job; its arguments, and how often in a row it was set back."""
        async with self._database.transaction() as connection:
            cursor = await connection.execute(
                "UPDATE jobs SET runner = %s, started_at = coalesce(started_at, now()), error = NULL WHERE id = %s "
                "RETURNING arguments, setbacks",
                (runner, job_id),
            )
            row = await cursor.fetchone()
        return (row[0], row[1]) if row else ({}, 0)

    async def progressed(self, job_id: UUID, progress: Mapping[str, Any], got_on: bool) -> None:
        """Notes how far a job has come, and whether this attempt has done anything that stays done."""
        async with self._database.transaction() as connection:
            await connection.execute(
                "UPDATE jobs SET progress = %s, setbacks = CASE WHEN %s THEN 0 ELSE setbacks END WHERE id = %s",
                (Jsonb(dict(progress)), got_on, job_id),
            )

    async def succeeded(self, job_id: UUID, result: Mapping[str, Any]) -> None:
        """Notes what a job did."""
        async with self._database.transaction() as connection:
            await connection.execute(
                "UPDATE jobs SET result = %s, error = NULL, finished_at = now() WHERE id = %s",
                (Jsonb(dict(result)), job_id),
            )

    async def failed(self, job_id: UUID, error: str, kind: str, final: bool) -> None:
        """Notes why a job, or one attempt at it, failed."""
        async with self._database.transaction() as connection:
            await connection.execute(
                "UPDATE jobs SET error = %s, error_kind = %s, runner = NULL, setbacks = setbacks + 1, "
                "finished_at = CASE WHEN %s THEN now() END WHERE id = %s",
                (error, kind, final, job_id),
            )

    async def rescue_orphans(self) -> list[UUID]:
        """Queues again every job whose process has died, on the bulk queue if its own has gone; which those were.

        One that took its process with it `MOST_DEATHS` times in a row fails instead, and says so.
        """
        async with self._database.transaction() as connection:
            cursor = await connection.execute(
                "SELECT j.id, j.queue_id, j.setbacks + 1 FROM jobs j JOIN procrastinate_jobs q ON q.id = j.queue_id "
                "WHERE q.status = 'doing' AND j.runner IS NOT NULL AND NOT EXISTS (SELECT FROM pg_locks l "
                "WHERE l.locktype = 'advisory' AND l.granted AND l.classid = %s AND l.objid = j.runner AND l.objsubid = 2 "
                "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())) "
                "FOR UPDATE OF j, q SKIP LOCKED",
                (LOCK_CLASS,),
            )
            orphans = await cursor.fetchall()
            await connection.execute(
                "UPDATE procrastinate_jobs q SET queue_name = %s WHERE q.status = 'todo' AND starts_with(q.queue_name, %s) "
                "AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND l.classid = %s "
                "AND l.objid = substr(q.queue_name, 5)::bigint::oid AND l.objsubid = 2 "
                "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
                (BULK, OWN, LOCK_CLASS),
            )
            await self._give_up(connection, [row for row in orphans if row[2] >= MOST_DEATHS])
            await self._requeue(connection, [row for row in orphans if row[2] < MOST_DEATHS])
        return [row[0] for row in orphans]

    async def _requeue(self, connection: AsyncConnection, orphans: Sequence[Row]) -> None:
        for job_id, queue_id, _ in orphans:
            await connection.execute("UPDATE jobs SET runner = NULL, setbacks = setbacks + 1 WHERE id = %s", (job_id,))
            await connection.execute(
                "UPDATE procrastinate_jobs SET status = 'todo', attempts = attempts + 1, worker_id = NULL, "
                "abort_requested = false, scheduled_at = NULL, "
                "queue_name = CASE WHEN queue_name IN (%s, %s) THEN queue_name ELSE %s END WHERE id = %s",
                (INTERACTIVE, BULK, BULK, queue_id),
            )

    async def _give_up(self, connection: AsyncConnection, orphans: Sequence[Row]) -> None:
        for job_id, queue_id, deaths in orphans:
            await connection.execute(
                "UPDATE jobs SET runner = NULL, setbacks = 0, finished_at = now(), error = %s WHERE id = %s",
                (
                    f"Its process died {deaths} times in a row before it got on. Look at the logs, then retry it.",
                    job_id,
                ),
            )
            await connection.execute(
                "UPDATE procrastinate_jobs SET status = 'failed', attempts = attempts + 1, worker_id = NULL WHERE id = %s",
                (queue_id,),
            )

    async def _row(self, job_id: UUID) -> Row:
        row = await self._database.fetch_one(_JOBS + "WHERE id = %(id)s", {"id": job_id, "lock_class": LOCK_CLASS})
        if row is None:
            raise _missing(job_id)
        return row


def _missing(job_id: UUID) -> NotFound:
    return NotFound(f"There is no job {job_id}. `groundwork jobs list` lists those there are.")


def _body(row: Row) -> dict[str, Any]:
    body: dict[str, Any] = dict(zip(_KEYS, row, strict=False))
    body["id"] = str(body["id"])
    body["waiting_seconds"] = _seconds(body["created_at"], body["started_at"] or body["finished_at"])
    body["running_seconds"] = (
        _seconds(body["started_at"], body["finished_at"]) if body["started_at"] is not None else None
    )
    for key in ("created_at", "started_at", "finished_at", "next_attempt_at"):
        body[key] = body[key].isoformat() if body[key] is not None else None
    return body


def _seconds(begin: datetime, end: datetime | None) -> float:
    return round(((end or utc_now()) - begin).total_seconds(), 3)
