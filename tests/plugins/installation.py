"""A Groundwork of the test's own: its own database, its own data directory, the real model or the deterministic double."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
from pydantic import SecretStr

from groundwork.assembly import Platform, open_platform
from groundwork.ingest.pipeline import Tally
from groundwork.settings import EmbedderSettings, Settings
from groundwork.worker import run as worker

T = TypeVar("T")
Run = Callable[[Callable[[Platform], Awaitable[T]]], T]


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Settings for this test, with the deterministic embedder."""
    return Settings(
        data_dir=tmp_path / "data",
        database_url=SecretStr(database_url),
        embedder=EmbedderSettings(kind="hashing"),
        log_level="error",
    )


@pytest.fixture
def run(settings: Settings) -> Run[object]:
    """Runs an async piece of work against a platform that is ready, in an event loop of its own."""

    def work_on(work: Callable[[Platform], Awaitable[T]]) -> T:
        return on_platform(settings, work)

    return work_on


def on_platform(settings: Settings, work: Callable[[Platform], Awaitable[T]]) -> T:
    """What `work` returns, given a platform on `settings` that is ready."""

    async def inside() -> T:
        async with open_platform(settings) as platform:
            await platform.ready()
            return await work(platform)

    return asyncio.run(inside())


@asynccontextmanager
async def working(platform: Platform) -> AsyncGenerator[None]:
    """A worker beside the block, which has stopped when the block has."""
    task = asyncio.create_task(worker.work(platform))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def quiet(total: int, tally: Tally) -> None:
    """Progress nobody looks at."""


def unheard(progress: Mapping[str, Any]) -> None:
    """A job's progress nobody looks at."""


async def ingest(platform: Platform, path: Path, collection: str = "default") -> dict[str, Any]:
    """Takes a file or folder in, as the job of `groundwork ingest` does; what that did."""
    source = await platform.sources.ensure(str(path), collection)
    return await platform.sync_source(source.id, unheard)


def write(folder: Path, files: dict[str, str]) -> Path:
    """A folder with these files in it; what is not named is removed."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.is_file() and path.name not in files:
            path.unlink()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder
