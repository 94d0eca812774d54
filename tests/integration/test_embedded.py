"""The embedded PostgreSQL: one server per data directory, shared, stopped by the last, never over somebody's data."""

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import psycopg
import pytest

import groundwork
from groundwork.errors import Corrupt, StoreUnavailable
from groundwork.store.binaries import server_account
from groundwork.store.embedded import EmbeddedServer, binary, create_database
from groundwork.store.layout import Layout
from plugins.embedded_process import Client, all_gone, keepers, postgres_processes, postmaster, wait_until

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def _server(data_dir: Path) -> EmbeddedServer:
    return EmbeddedServer(data_dir, 60.0, durable=False)


def _keep_a_row(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")


def _kept_row(url: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT answer FROM kept").fetchone()
        return row and row[0]


def test_data_is_there_after_a_restart_and_nothing_runs_in_between(data_dir: Path) -> None:
    with _server(data_dir) as server:
        _keep_a_row(server.url)
    assert not keepers(data_dir) | postgres_processes(data_dir)
    with _server(data_dir) as server:
        assert _kept_row(server.url) == 42


def test_processes_share_one_server_and_the_last_stops_it(data_dir: Path) -> None:
    with _server(data_dir) as server:
        other = Client("hold", data_dir)
        assert other.first_word() == server.url
        first = postmaster(data_dir)
        assert len(keepers(data_dir)) == 1
    with psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert postmaster(data_dir) == first
    assert other.finish() == 0
    assert not keepers(data_dir) | postgres_processes(data_dir)


def test_two_shares_in_one_process_are_counted(data_dir: Path) -> None:
    with _server(data_dir) as kept:
        with _server(data_dir) as other:
            assert other.url == kept.url
        with psycopg.connect(kept.url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_processes_that_start_at_once_on_an_empty_directory_agree(data_dir: Path) -> None:
    clients = [Client("hold", data_dir) for _ in range(4)]
    assert {client.first_word() for client in clients} == {Layout.of(data_dir).url()}
    assert wait_until(lambda: len(keepers(data_dir)) == 1)
    assert [client.finish() for client in clients] == [0] * 4


def test_a_start_waits_for_a_server_that_is_just_stopping(data_dir: Path) -> None:
    for _ in range(3):
        leaving = Client("hold", data_dir)
        leaving.first_word()
        closing = threading.Thread(target=leaving.finish)
        closing.start()
        with _server(data_dir) as server, psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        closing.join()


@pytest.mark.parametrize("name", ["d" * 120, 'it\'s, "odd" 100% ü\\n'])
def test_a_path_no_socket_can_have_works_too(data_dir: Path, name: str) -> None:
    odd = data_dir / name
    with _server(odd) as server:
        sockets = Layout.of(odd).socket_dir
        assert not sockets.is_relative_to(data_dir)
        _keep_a_row(server.url)
        assert _kept_row(server.url) == 42
    assert not sockets.exists()
    assert all_gone(odd)


def test_the_same_directory_by_another_path_is_the_same_server(data_dir: Path) -> None:
    link = data_dir / "link"
    (data_dir / "real").mkdir(mode=0o755)
    link.symlink_to(data_dir / "real")
    with _server(data_dir / "real") as server, _server(link) as other:
        assert server.url == other.url


def test_missing_data_is_an_error_never_an_empty_start(data_dir: Path) -> None:
    with _server(data_dir):
        stamp = json.loads((data_dir / "groundwork.json").read_text())
    assert stamp["postgres_major"] == 18
    assert set(stamp) == {"created", "postgres_major", "installation_id"}
    shutil.rmtree(data_dir / "postgres")
    for _ in range(2):
        with pytest.raises(Corrupt, match=r"missing or empty.*restore a backup"):
            _server(data_dir).start()
        assert not (data_dir / "postgres").exists()
        (data_dir / "postgres").mkdir()
        with pytest.raises(Corrupt, match="missing or empty"):
            _server(data_dir).start()
        (data_dir / "postgres").rmdir()
    (data_dir / "groundwork.json").unlink()
    with _server(data_dir) as server:
        _keep_a_row(server.url)


def test_a_cluster_without_a_stamp_is_adopted(data_dir: Path) -> None:
    with _server(data_dir) as server:
        _keep_a_row(server.url)
    (data_dir / "groundwork.json").unlink()  # killed between making the cluster and stamping it, or restored by hand
    with _server(data_dir) as server:
        assert _kept_row(server.url) == 42
    assert (data_dir / "groundwork.json").exists()


def test_what_is_not_a_cluster_is_left_alone(data_dir: Path) -> None:
    (data_dir / "postgres").mkdir()
    (data_dir / "postgres" / "thesis.txt").write_text("mine")
    with pytest.raises(Corrupt, match="not a PostgreSQL cluster"):
        _server(data_dir).start()
    assert (data_dir / "postgres" / "thesis.txt").read_text() == "mine"


def test_another_major_version_is_refused(data_dir: Path) -> None:
    (data_dir / "postgres").mkdir()
    (data_dir / "postgres" / "PG_VERSION").write_text("17\n")
    with pytest.raises(StoreUnavailable, match=r"written by PostgreSQL 17.*pg_dump"):
        _server(data_dir).start()


def test_a_server_that_cannot_start_is_quoted(data_dir: Path) -> None:
    with _server(data_dir):
        pass
    with (data_dir / "postgres" / "postgresql.auto.conf").open("a") as file:
        file.write("shared_bufers = '1GB'\n")
    with pytest.raises(StoreUnavailable, match=r"(?s)did not start.*shared_bufers"):
        _server(data_dir).start()


@pytest.mark.parametrize("program", ["sleep", "true"], ids=["another-program", "a-dead-process-nobody-reaped"])
@pytest.mark.parametrize("where", ["data", "socket"])
def test_a_pid_file_from_before_a_crash_does_not_stop_it(data_dir: Path, program: str, where: str) -> None:
    with _server(data_dir) as server:
        _keep_a_row(server.url)
    account = server_account()
    other = subprocess.Popen([program, "60"], user=account and account.uid, group=account and account.gid)
    try:
        state = "Z" if program == "true" else "S"
        assert wait_until(lambda: Path(f"/proc/{other.pid}/stat").read_text().split()[2] == state)
        layout = Layout.of(data_dir)
        layout.socket_dir.mkdir(exist_ok=True)
        pid_file = data_dir / "postgres" / "postmaster.pid" if where == "data" else layout.socket_lock
        pid_file.write_text(f"{other.pid}\n{data_dir / 'postgres'}\n1\n5432\n\n\n\n")
        with _server(data_dir) as server:
            assert _kept_row(server.url) == 42
    finally:
        other.kill()
        other.wait()


def test_a_long_log_is_put_aside(data_dir: Path) -> None:
    (data_dir / "postgres.log").write_bytes(b"x" * (9 << 20))
    with _server(data_dir):
        assert (data_dir / "postgres.log").stat().st_size < 1 << 20
    assert (data_dir / "postgres.log.1").stat().st_size == 9 << 20


def test_it_is_set_up_for_what_groundwork_does(data_dir: Path) -> None:
    expected = {
        "listen_addresses": "",
        "fsync": "on",
        "full_page_writes": "on",
        "data_checksums": "on",
        "summarize_wal": "on",
        "wal_level": "replica",
        "max_slot_wal_keep_size": "4GB",
        "jit": "off",
        "TimeZone": "UTC",
        "server_encoding": "UTF8",
    }
    with EmbeddedServer(data_dir) as server, psycopg.connect(server.url) as connection:
        query = "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY(%s)"
        assert dict(connection.execute(query, (list(expected),)).fetchall()) == expected
        locale = connection.execute(
            "SELECT datlocprovider, datlocale FROM pg_database WHERE datname = current_database()"
        ).fetchone()
        assert locale == ("b", "C.UTF-8")
        assert connection.execute("SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'").fetchone() == (
            1,
        )


def test_only_its_users_can_reach_it(data_dir: Path) -> None:
    with _server(data_dir):
        layout = Layout.of(data_dir)
        assert layout.socket_dir.stat().st_mode & 0o077 == 0
        assert layout.pgdata.stat().st_mode & 0o077 == 0
        assert layout.root.stat().st_mode & 0o066 == 0


def test_a_database_is_made_once_however_many_ask(data_dir: Path) -> None:
    with _server(data_dir) as server:
        url = server.url_of("asked_for")
        errors: list[BaseException] = []

        def ask() -> None:
            try:
                create_database(url)
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT current_database()").fetchone() == ("asked_for",)


def test_a_forked_child_does_not_keep_the_server(data_dir: Path) -> None:
    client = Client("fork", data_dir)
    assert client.first_word() == Layout.of(data_dir).url()
    client.process.wait(10)
    assert all_gone(data_dir, 4)  # the child lives for six seconds
    client.finish()


def test_programs_are_those_of_postgresql_18() -> None:
    answer = subprocess.run([binary("pg_dump"), "--version"], capture_output=True, text=True, check=True)
    assert answer.stdout.split()[-1].startswith("18.")
    with pytest.raises(StoreUnavailable, match="pg_dumb"):
        binary("pg_dumb")


@as_root
def test_an_ordinary_user_runs_it_as_himself(data_dir: Path) -> None:
    own = data_dir / "own"
    own.mkdir()
    os.chown(own, 65534, 65534)
    data_dir.chmod(0o755)
    client = Client("hold", own, as_nobody=True)
    assert client.first_word() == Layout.of(own).url()
    running = keepers(own) | postgres_processes(own)
    assert {Path(f"/proc/{pid}").stat().st_uid for pid in running} == {65534}
    assert client.finish() == 0
    assert all_gone(own)
    with pytest.raises(StoreUnavailable, match="belongs to 'nobody'"):
        _server(own).start()  # root must not take it away from him
    assert (own / "postgres").stat().st_uid == 65534


@as_root
def test_a_directory_that_cannot_be_written_is_named(data_dir: Path) -> None:
    data_dir.chmod(0o755)
    client = Client("hold", data_dir / "own", as_nobody=True)
    said = client.first_word()
    assert said.startswith(f"StoreUnavailable: The data directory {data_dir}/own cannot be used. Make it writable")
    assert client.finish() == 1


@as_root
def test_root_runs_it_as_a_system_user(data_dir: Path) -> None:
    with _server(data_dir):
        assert 0 not in {Path(f"/proc/{pid}").stat().st_uid for pid in postgres_processes(data_dir)}


@as_root
def test_a_full_disk_is_called_that_and_leaves_nothing_half_made(data_dir: Path) -> None:
    script = Path(__file__).parent.parent / "plugins" / "embedded_process.py"
    mount = f"mount -t tmpfs -o size=20m tmpfs '{data_dir}' && '{sys.executable}' '{script}' hold '{data_dir}'"
    environment = {**os.environ, "PYTHONPATH": str(Path(groundwork.__file__).resolve().parent.parent)}
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", f"{mount}; ls '{data_dir}'"],
        input="",
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if "mount:" in done.stderr or "unshare" in done.stderr:
        pytest.skip(f"no private mounts here: {done.stderr.strip()}")
    assert f"The disk that holds {data_dir} is full" in done.stdout
    assert done.stdout.split("\n")[1:] == ["run", ""]
