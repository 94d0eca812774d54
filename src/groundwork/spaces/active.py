"""The space a process searches in: opened before it is used, swapped in one step, followed as the record changes it.

A search takes the space once and keeps it to its end. So a switch fails none: searches that began before it end in the
old space, whose vectors stay, and every later one begins in the new.
"""

import asyncio
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog

from groundwork.embedders import Embedder
from groundwork.errors import Conflict, GroundworkError, StoreUnavailable
from groundwork.settings import EmbedderSettings
from groundwork.spaces import records
from groundwork.spaces.config import SpaceConfig, embedder_settings, from_settings, name_of_model
from groundwork.spaces.records import SpaceRow
from groundwork.store.database import Database

log = structlog.get_logger()

OpenEmbedder = Callable[[EmbedderSettings], Embedder]

_LOOK_SECONDS = 0.5
_AFTER_FAULT_SECONDS = 5.0


@dataclass(frozen=True, eq=False)
class ActiveSpace:
    """A space with its embedder open. The embedder is closed when nobody holds on to the space any more."""

    id: int
    name: str
    embedder: Embedder


class ActiveSpaces:
    """Which space this process uses."""

    def __init__(self, database: Database, settings: EmbedderSettings, open_embedder: OpenEmbedder) -> None:
        self._database = database
        self._settings = settings
        self._open_embedder = open_embedder
        self._current: ActiveSpace | None = None
        self._seen: tuple[int, SpaceConfig] | None = None
        self._busy = asyncio.Lock()
        self._watching: asyncio.Task[None] | None = None

    @property
    def current(self) -> ActiveSpace:
        """The space to use now; known once `settle` has returned. Take it once for each piece of work."""
        assert self._current is not None, "call settle() first"
        return self._current

    async def settle(self) -> None:
        """Opens the live space, made from the settings when there is none, and follows it from then on.

        Raises Conflict when its embedder cannot be had with the settings, Unavailable when it does not answer.
        """
        async with self._busy:
            if self._current is None:
                row = await records.live(self._database) or await self._first()
                await self._use(row, warm=False)
                await self._remember(row)
                self._watching = asyncio.create_task(self._watch())

    async def refresh(self) -> ActiveSpace:
        """The space that is live this moment, opened first if it is another. Raises what `settle` raises."""
        async with self._busy:
            row = await records.live(self._database)
            if row is not None and self._current is not None and (row.id, self._config(row)) != self._seen:
                await self._use(row, warm=True)
                log.info("searches use another embedding space", space=row.name)
        return self.current

    async def adopt(self, space: ActiveSpace) -> None:
        """Uses an open space that has just gone live, where this process searches at all."""
        async with self._busy:
            row = await records.live(self._database)
            if self._current is not None and row is not None and row.id == space.id:
                await asyncio.to_thread(space.embedder.warm)
                self._current, self._seen = space, (row.id, self._config(row))

    async def open(self, row: SpaceRow, warm: bool = True) -> ActiveSpace:
        """A space with its embedder open and found to be the model its vectors came from; `warm`: used once as well.

        Raises what `settle` raises.
        """
        embedder = await asyncio.to_thread(self._opened, row, self._config(row), warm)
        space = ActiveSpace(row.id, row.name, embedder)
        # Searches, windows of an ingest and builds end at different times; the last to let go closes it.
        weakref.finalize(space, embedder.close).atexit = False
        return space

    async def close(self) -> None:
        """Stops following and lets go of the space."""
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching
        self._current = self._watching = None

    async def _first(self) -> SpaceRow:
        config = from_settings(self._settings)
        embedder = await asyncio.to_thread(self._open_embedder, self._settings)
        embedder.close()
        async with self._database.transaction() as connection:
            await records.insert_first(connection, name_of_model(embedder.model.name), embedder.model, config)
        row = await records.live(self._database)
        assert row is not None
        return row

    async def _use(self, row: SpaceRow, warm: bool) -> None:
        space = await self.open(row, warm)
        if warm:
            await asyncio.to_thread(space.embedder.warm)
        self._current = space
        self._seen = (row.id, self._config(row))
        wanted = from_settings(self._settings)
        if not self._config(row).is_model_of(wanted):
            _say_that_settings_differ(row, wanted)

    async def _remember(self, row: SpaceRow) -> None:
        """Keeps how the live space is reached, where the settings have changed that."""
        if (config := self._config(row)) != row.config:
            async with self._database.transaction() as connection:
                await records.set_config(connection, row.id, config)

    def _config(self, row: SpaceRow) -> SpaceConfig:
        """How to reach its embedder: as the settings say when they made it and name the same model still."""
        wanted = from_settings(self._settings)
        if row.config is None or (row.config.from_settings and row.config.is_model_of(wanted)):
            return wanted
        return row.config

    def _opened(self, row: SpaceRow, config: SpaceConfig, warm: bool) -> Embedder:
        embedder = self._open_embedder(embedder_settings(row.name, config, self._settings))
        try:
            _check_model(row, config, embedder)
            if warm:
                embedder.embed_query("ready")
        except BaseException:
            embedder.close()
            raise
        return embedder

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await self.refresh()
            except StoreUnavailable:
                continue  # everything else says so
            except GroundworkError as error:
                log.error("the live embedding space cannot be opened; the one before it is used", reason=error.message)
                await asyncio.sleep(_AFTER_FAULT_SECONDS)
            except Exception as error:  # if the watch ended, this process would stay where it is for ever
                log.error("the live embedding space cannot be opened; the one before it is used", exc_info=error)
                await asyncio.sleep(_AFTER_FAULT_SECONDS)


def _check_model(row: SpaceRow, config: SpaceConfig, embedder: Embedder) -> None:
    if embedder.model != row.model:
        has, wants = embedder.model, row.model
        raise Conflict(
            f"The vectors of embedding space {row.name} came from {wants.name} ({wants.revision}, {wants.dimension} "
            f"dimensions), and {config.describe()} is now {has.name} ({has.revision}, {has.dimension} dimensions): they cannot "
            "be compared. Either go back to what it was, settings or version of Groundwork, or build a space for the new "
            "model: groundwork spaces create NAME --kind ..., groundwork spaces build NAME, groundwork spaces switch NAME."
        )


def _say_that_settings_differ(row: SpaceRow, wanted: SpaceConfig) -> None:
    log.warning(
        f"the settings name the embedding model {wanted.describe()}; the live space {row.name} is used instead, since "
        "vectors of different models cannot be compared. To change over: groundwork spaces create NAME, then build and switch"
    )
