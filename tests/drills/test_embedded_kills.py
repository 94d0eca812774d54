"""kill -9 of whatever belongs to the embedded PostgreSQL: nothing is left behind, nothing committed is lost, users go on."""

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from groundwork.store.embedded import EmbeddedServer
from groundwork.store.layout import Layout
from plugins.embedded_process import Client, all_gone, keepers, kill, postgres_processes, postmaster, wait_until

_SEED = 20260


def _committed(data_dir: Path) -> dict[int, set[int]]:
    """What each writer's table holds, read through a share of our own."""
    found: dict[int, set[int]] = {}
    with EmbeddedServer(data_dir, 60.0, durable=False) as server, psycopg.connect(server.url) as connection:
        for writer, number in connection.execute("SELECT writer, number FROM kept"):
            found.setdefault(writer, set()).add(number)
    return found


def _assert_kept(data_dir: Path, writers: list[Client]) -> None:
    found = _committed(data_dir)
    for writer in writers:
        lost = set(writer.numbers()) - found.get(writer.process.pid, set())
        assert not lost, f"told committed, and gone: {sorted(lost)[:10]}"


def _begin(data_dir: Path, enough: int = 20) -> Client:
    writer = Client("write", data_dir)
    assert writer.first_word() == Layout.of(data_dir).url()
    assert _goes_on(writer, enough)
    return writer


def _goes_on(writer: Client, more: int = 20) -> bool:
    before = len(writer.said)
    return wait_until(lambda: len(writer.said) > before + more, 30)


def test_a_killed_client_leaves_nothing_running(data_dir: Path) -> None:
    writer = _begin(data_dir)
    writer.kill()
    assert all_gone(data_dir)
    _assert_kept(data_dir, [writer])


@pytest.mark.parametrize(
    "victims",
    [keepers, lambda data_dir: {postmaster(data_dir)}, postgres_processes, lambda d: keepers(d) | {postmaster(d)}],
    ids=["keeper", "postmaster", "every-postgres", "keeper-and-postmaster"],
)
def test_users_go_on_when_the_server_is_killed(data_dir: Path, victims: Callable[[Path], set[int]]) -> None:
    writer = _begin(data_dir)
    killed = victims(data_dir)
    assert killed
    kill(killed)
    assert _goes_on(writer)
    assert len(keepers(data_dir)) == 1
    assert writer.finish() == 0
    assert not keepers(data_dir) | postgres_processes(data_dir)
    _assert_kept(data_dir, [writer])


def test_everything_killed_at_once_leaves_nothing_and_loses_nothing(data_dir: Path) -> None:
    writers = [_begin(data_dir), _begin(data_dir)]
    kill({writer.process.pid for writer in writers} | keepers(data_dir) | postgres_processes(data_dir))
    assert all_gone(data_dir)
    for writer in writers:
        writer.finish()
    _assert_kept(data_dir, writers)


def test_a_keeper_killed_with_its_clients_takes_the_server_along(data_dir: Path) -> None:
    writer = _begin(data_dir)
    kill({writer.process.pid} | keepers(data_dir))
    assert all_gone(data_dir)
    writer.finish()
    _assert_kept(data_dir, [writer])


def test_kills_at_random_moments(data_dir: Path) -> None:
    chance = random.Random(_SEED)
    writers = [_begin(data_dir), _begin(data_dir)]
    alive = list(writers)
    for _ in range(10):
        time.sleep(chance.uniform(0.0, 0.4))
        kind = chance.choice(["keeper", "postmaster", "backend", "client"])
        if kind == "keeper":
            kill(keepers(data_dir))
        elif kind == "postmaster":
            kill({postmaster(data_dir)} - {0})
        elif kind == "backend":
            kill(set(chance.sample(sorted(processes), 1)) if (processes := postgres_processes(data_dir)) else set())
        else:
            alive.pop(chance.randrange(2)).kill()
            alive.append(Client("write", data_dir))
            writers.append(alive[-1])
    assert all(_goes_on(writer) for writer in alive)
    assert [writer.finish() for writer in alive] == [0, 0]
    assert all_gone(data_dir)
    _assert_kept(data_dir, writers)


def test_kills_during_the_first_start_leave_a_directory_that_starts(data_dir: Path) -> None:
    chance = random.Random(_SEED)
    for attempt in range(5):
        place = data_dir / str(attempt)
        client = Client("hold", place)
        wait_until(lambda place=place: bool(keepers(place)))
        time.sleep(chance.uniform(0.0, 0.7))
        kill(keepers(place) | ({client.process.pid} if attempt % 2 else set()))
        if attempt % 2 == 0:  # its client makes it whole
            assert client.first_word() == Layout.of(place).url()
        client.finish()
        assert all_gone(place)
        with EmbeddedServer(place, 60.0, durable=False) as server, psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert not (place / "postgres.new").exists()


def test_a_keeper_asked_to_stop_lets_its_users_finish(data_dir: Path) -> None:
    writer = _begin(data_dir)
    (keeper,) = keepers(data_dir)
    os.kill(keeper, signal.SIGTERM)
    assert _goes_on(writer, 100)
    assert keepers(data_dir) == {keeper}
    assert writer.finish() == 0
    assert all_gone(data_dir)
