"""A file that crashes, hangs or grows costs itself; the next one is read, and no process is left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from groundwork.errors import Invalid, Unavailable
from groundwork.ingest.isolate import Answer, Pool, Request
from groundwork.ingest.ocr import Engine

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")

HTML = "text/html"
SLOW = b"<p>" + b"<i>word</i> " * 700_000
"""Takes seconds to read."""


def children(parent: int) -> list[int]:
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            after = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(after[1]) == parent and b"groundwork.ingest.child" in (entry.parent / "cmdline").read_bytes():
            found.append(int(entry.parent.name))
    return found


def wait_for(what: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool(size=2, timeout_seconds=60, memory_mib=1024)
    yield pool
    pool.close()


def html(pool: Pool, content: bytes) -> Answer:
    return pool.read(Request(content, HTML, 1 << 30))


def reads(pool: Pool) -> bool:
    return html(pool, b"<p>fine").text == "fine"


def test_a_worker_serves_many_files(pool: Pool) -> None:
    assert all(reads(pool) for _ in range(20))
    assert len(children(os.getpid())) == 1


def test_files_are_read_side_by_side(pool: Pool) -> None:
    with ThreadPoolExecutor(8) as threads:
        texts = list(threads.map(lambda number: html(pool, b"<p>%d" % number).text, range(40)))
    assert texts == [str(number) for number in range(40)]
    assert len(children(os.getpid())) <= 2


@pytest.mark.parametrize("how", [signal.SIGSEGV, signal.SIGKILL])
def test_a_file_whose_reader_always_crashes_is_given_up_after_a_second_try(pool: Pool, how: signal.Signals) -> None:
    assert reads(pool)
    done = threading.Event()

    def crash() -> None:
        while not done.wait(0.3):
            for worker in children(os.getpid()):
                os.kill(worker, how)

    crashing = threading.Thread(target=crash)
    crashing.start()
    with pytest.raises(Invalid, match=f"ended abruptly .{how.name}"):
        html(pool, SLOW)
    done.set()
    crashing.join()
    assert reads(pool)


def test_a_file_whose_reader_was_killed_once_is_read_by_another() -> None:
    pool = Pool(size=1, timeout_seconds=60, memory_mib=4096)
    assert reads(pool)
    (worker,) = children(os.getpid())
    threading.Timer(0.3, os.kill, (worker, signal.SIGKILL)).start()
    assert html(pool, SLOW).text.count("word") == 700_000
    pool.close()


def test_closing_does_not_wait_for_the_file_being_read(pool: Pool) -> None:
    assert reads(pool)
    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(html, pool, SLOW * 3)
        time.sleep(0.3)
        began = time.monotonic()
        pool.close()
        with pytest.raises(Unavailable):
            reading.result()
    assert time.monotonic() - began < 2
    assert children(os.getpid()) == []


def test_a_worker_that_died_idle_is_replaced(pool: Pool) -> None:
    assert reads(pool)
    (worker,) = children(os.getpid())
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: ") Z " in Path(f"/proc/{worker}/stat").read_text())
    assert reads(pool)


def test_a_file_that_takes_too_long_is_given_up() -> None:
    pool = Pool(size=1, timeout_seconds=0.5, memory_mib=1024)
    started = time.monotonic()
    with pytest.raises(Invalid, match=r"took longer than 0.5 s.*EXTRACT_TIMEOUT_SECONDS"):
        html(pool, SLOW * 3)
    assert time.monotonic() - started < 5
    pool.close()


def test_a_file_that_takes_too_much_memory_is_given_up() -> None:
    pool = Pool(size=1, timeout_seconds=60, memory_mib=256)
    with pytest.raises(Invalid, match="memory"):
        html(pool, b"<p>" + b"word " * 20_000_000)
    assert reads(pool)
    pool.close()


def test_closing_leaves_no_process(pool: Pool) -> None:
    assert reads(pool)
    pool.close()
    assert children(os.getpid()) == []


@pytest.mark.parametrize("busy", [False, True])
def test_workers_die_with_their_parent_whatever_they_do(busy: bool) -> None:
    body = (
        "pool.read(Request(b'<p>' + b'<i>word</i> ' * 4_000_000, 'text/html', 1 << 30))" if busy else "time.sleep(60)"
    )
    code = (
        "import time; from groundwork.ingest.isolate import Pool, Request; pool = Pool(1, 60, 4096)\n"
        f"pool.read(Request(b'<p>x', 'text/html', 9)); print('ready', flush=True); {body}"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent:
        assert parent.stdout.readline() == b"ready\n"
        time.sleep(0.5 if busy else 0)
        (worker,) = children(parent.pid)
        parent.kill()
    wait_for(lambda: not Path(f"/proc/{worker}").exists(), seconds=5)


SLOW_OCR = """#!/bin/sh
echo $$ > "$(dirname "$0")/started"
exec sleep 60
"""


def endless_engine(folder: Path) -> Engine:
    """A recogniser that never ends and leaves its number behind."""
    command = folder / "tesseract"
    command.write_text(SLOW_OCR)
    command.chmod(0o755)
    return Engine(str(command), "eng", orientation=True)


def recogniser(folder: Path) -> int:
    started = folder / "started"
    wait_for(lambda: started.exists() and started.read_text().strip() != "")
    return int(started.read_text())


def is_gone(pid: int) -> bool:
    path = Path(f"/proc/{pid}/stat")
    return not path.exists() or ") Z " in path.read_text()


def test_recognition_has_a_limit_of_its_own_and_ends_with_it(tmp_path: Path) -> None:
    pool = Pool(size=1, timeout_seconds=60, memory_mib=1024)
    began = time.monotonic()
    with pytest.raises(Invalid, match=r"OCR. took longer than 1 s.*OCR_TIMEOUT_SECONDS"):
        pool.read(Request(b"\x89PNG\r\n\x1a\n", "image/png", 1000, endless_engine(tmp_path), 1.0))
    assert time.monotonic() - began < 20
    wait_for(lambda: is_gone(recogniser(tmp_path)), seconds=5)
    assert reads(pool)
    pool.close()


def test_recognition_dies_with_the_process_that_asked_for_it(tmp_path: Path) -> None:
    engine = endless_engine(tmp_path)
    code = (
        "from groundwork.ingest.isolate import Pool, Request; from groundwork.ingest.ocr import Engine\n"
        f"Pool(1, 60, 1024).read(Request(b'GIF8', 'image/gif', 9, {engine!r}, 60.0))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    with parent:
        pid = recogniser(tmp_path)
        parent.kill()
    wait_for(lambda: is_gone(pid), seconds=5)
    assert children(parent.pid) == []
