"""Keeps this host's lexical index in step with the database: one writer, many readers, rebuilt when in doubt.

The folder holds `state.json` (which index folder is current, of which database, up to which change) and the index
folders themselves. The writer is whichever process holds the lock on `writer.lock`: a service for as long as it serves,
a command for one round. The kernel frees it when that process ends, however it ends. Applying a change twice does no
harm, so the state is written after the index.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import AsyncGenerator, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import structlog

from groundwork.errors import Corrupt, Unavailable
from groundwork.lexical import LexicalIndex, records
from groundwork.lexical.records import Horizon, Position
from groundwork.store.database import Database

log = structlog.get_logger()

_BATCH = 500
_WANTED = "rebuild-wanted"


@dataclass(frozen=True)
class State:
    """What `state.json` says."""

    format: int
    installation: str
    epoch: int
    folder: str
    position: Position

    def fits(self, form: int, horizon: Horizon) -> bool:
        """Whether this index was built from that database."""
        return (self.format, self.installation, self.epoch) == (form, str(horizon.installation), horizon.epoch)


class Follower:
    """One process's hold on the lexical index of its host."""

    def __init__(self, folder: Path, open_index: Callable[[Path], LexicalIndex], form: int, database: Database) -> None:
        self._folder = folder
        self._open_index = open_index
        self._form = form
        self._database = database
        self._lock_file: int | None = None
        self._state: State | None = None
        self._index: LexicalIndex | None = None
        self._busy = asyncio.Lock()
        self._following = False

    @property
    def index(self) -> LexicalIndex:
        """The index as of the last catch-up. Raises Unavailable before the first one."""
        if self._index is None:
            raise Unavailable("The lexical index is still being built; try again in a moment.")
        return self._index

    async def catch_up(self, timeout: float = 30.0) -> bool:
        """Waits until everything committed before the call is in the index, whichever process writes it.

        False when that did not happen within `timeout` seconds; the index may then lack the newest changes.
        """
        target = (await records.horizon(self._database)).begun
        deadline = asyncio.get_running_loop().time() + timeout
        while not await self._step(target):
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(0.02)
        return True

    async def rebuild(self, progress: Callable[[int], None] | None = None) -> int:
        """Builds the index anew beside the old one and switches; how many chunks it holds.

        Raises Unavailable when another process is writing it just now and does not let go.
        """
        async with self._busy:
            for _ in range(100):
                async with self._writing() as may_write:
                    if may_write:
                        await self._rebuild(await records.horizon(self._database), progress)
                        return self.index.count()
                await asyncio.sleep(0.05)
        raise Unavailable("Another process writes the lexical index; run `groundwork rebuild` again when it has ended.")

    def distrust(self) -> None:
        """Notes that a search found the index damaged; the writer builds it anew in its next round."""
        (self._folder / _WANTED).touch()

    async def renew(self, timeout: float = 600.0) -> bool:
        """Has the index built anew by whichever process writes it; False when that did not happen in `timeout` seconds."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self.distrust()
        deadline = asyncio.get_running_loop().time() + timeout
        while True:
            await self.catch_up()
            if not (self._folder / _WANTED).exists():
                return await self.catch_up()
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(0.1)

    async def follow(self, interval: float = 1.0) -> None:
        """Goes on catching up for ever: at once when the database notifies, else every `interval` seconds."""
        wake = asyncio.Event()
        listener = asyncio.create_task(self._listen(wake))
        self._following = True
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(wake.wait(), interval)
                wake.clear()
                await self._follow_once()
        finally:
            listener.cancel()
            self._following = False
            async with self._busy:
                await self._let_go()

    async def lag(self) -> int:
        """How many settled changes are not in the index yet, counted up to 10,000."""
        if self._state is None:
            return 10_000
        horizon = await records.horizon(self._database)
        return len(await records.changes(self._database, self._state.position, horizon.settled, 10_000))

    async def close(self) -> None:
        """Lets go of the index and of the writer's lock."""
        async with self._busy:
            await self._let_go()
            self._index = None

    async def _follow_once(self) -> None:
        try:
            await self._step(0)
        except Unavailable as error:
            log.warning("lexical index waits", reason=error.message)
        except Exception:  # the follower must outlive whatever one round meets
            log.exception("lexical index could not follow")

    async def _listen(self, wake: asyncio.Event) -> None:
        while True:
            try:
                async with self._database.connection() as connection:
                    await connection.execute(f"LISTEN {records.CHANNEL}")
                    async for _ in connection.notifies():
                        wake.set()
            except Unavailable:
                await asyncio.sleep(1.0)

    async def _step(self, target: int) -> bool:
        """One round. True when every transaction below `target` is in the index."""
        async with self._busy:
            horizon = await records.horizon(self._database)
            async with self._writing() as may_write:
                if may_write:
                    await self._write(horizon)
                else:
                    self._read(horizon)
            return self._state is not None and self._state.position.xid >= target

    async def _write(self, horizon: Horizon) -> None:
        try:
            if (self._folder / _WANTED).exists():
                raise Corrupt("A search found the lexical index damaged.")
            if self._state is None or self._index is None:
                self._adopt(horizon)
            await self._apply_changes(horizon)
        except Corrupt as error:
            first = not any(self._folder.glob("index-*"))  # every index begins like this: nothing to tell anybody
            (log.debug if first else log.info)("lexical index is built anew", reason=error.message)
            await self._rebuild(horizon, None)

    def _adopt(self, horizon: Horizon) -> None:
        """Opens what the last writer left. Raises Corrupt when that cannot be gone on from."""
        state = _read_state(self._folder)
        if state is None or not (self._folder / state.folder).is_dir():
            raise Corrupt("There is no lexical index yet.")
        if not state.fits(self._form, horizon) or state.position.xid > horizon.begun:
            raise Corrupt("The lexical index belongs to another state of the database.")
        self._index = self._open_index(self._folder / state.folder)
        self._state = state

    async def _apply_changes(self, horizon: Horizon) -> None:
        assert self._state is not None
        position = self._state.position
        dirty = False
        while batch := await records.changes(self._database, position, horizon.settled, _BATCH):
            documents = list(dict.fromkeys(document for _, document in batch))
            entries = await records.entries(self._database, documents)
            await asyncio.to_thread(self.index.replace, documents, entries)
            position, dirty = batch[-1][0], True
        if dirty:
            await asyncio.to_thread(self.index.commit)
        if horizon.settled > self._state.position.xid:
            self._save(self._state.folder, Position(horizon.settled, 0), horizon)

    async def _rebuild(self, horizon: Horizon, progress: Callable[[int], None] | None) -> None:
        old, self._state = self._index, None
        folder = f"index-{uuid4().hex[:12]}"
        index = self._open_index(self._folder / folder)
        async for documents in records.all_documents(self._database, _BATCH):
            entries = await records.entries(self._database, documents)
            await asyncio.to_thread(index.replace, (), entries)
            if progress is not None:
                progress(len(documents))
        await asyncio.to_thread(index.commit)
        self._index = index
        self._save(folder, Position(horizon.settled, 0), horizon)
        (self._folder / _WANTED).unlink(missing_ok=True)
        if old is not None:
            await asyncio.to_thread(old.close)
        self._sweep(keep=folder)
        await self._apply_changes(await records.horizon(self._database))

    def _read(self, horizon: Horizon) -> None:
        """As a reader: shows what the writer has committed since."""
        state = _read_state(self._folder)
        if state is None or not state.fits(self._form, horizon) or state == self._state:
            return
        if self._state is None or self._index is None or state.folder != self._state.folder:
            self._index = self._open_index(self._folder / state.folder)
        else:
            self._index.refresh()
        self._state = state

    def _save(self, folder: str, position: Position, horizon: Horizon) -> None:
        state = State(self._form, str(horizon.installation), horizon.epoch, folder, position)
        draft = self._folder / "state.json.new"
        draft.write_text(json.dumps(asdict(state)))
        draft.replace(self._folder / "state.json")
        self._state = state

    def _sweep(self, keep: str) -> None:
        for path in self._folder.glob("index-*"):
            if path.name != keep:
                shutil.rmtree(path, ignore_errors=True)

    @contextlib.asynccontextmanager
    async def _writing(self) -> AsyncGenerator[bool]:
        """Whether the block may write. Who does not follow lets others write afterwards: they would wait for it in vain."""
        may_write = self._take_lock()
        try:
            yield may_write
        finally:
            if may_write and not self._following:
                await self._let_go()

    async def _let_go(self) -> None:
        if self._index is not None:
            await asyncio.to_thread(self._index.close)
        self._drop_lock()

    def _take_lock(self) -> bool:
        if self._lock_file is not None:
            return True
        self._folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._folder / "writer.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            return False
        self._lock_file = handle
        if _read_state(self._folder) != self._state:  # somebody else has written since
            self._state = None
        return True

    def _drop_lock(self) -> None:
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None


def _read_state(folder: Path) -> State | None:
    try:
        raw: dict[str, Any] = json.loads((folder / "state.json").read_text())
        position = Position(raw["position"]["xid"], raw["position"]["id"])
        return State(raw["format"], raw["installation"], raw["epoch"], raw["folder"], position)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError):
        log.warning("state of the lexical index cannot be read", folder=str(folder))
        return None
