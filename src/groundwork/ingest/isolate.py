"""A small pool of worker processes in which files are read, each under limits of time and memory.

A worker serves file after file. One that crashes, hangs or grows costs the file it was reading; the next file gets
a new worker. Workers die with this process, however it ends (see `child`).
"""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from groundwork.errors import Invalid, Unavailable
from groundwork.ingest.mail import Part
from groundwork.ingest.ocr import Engine
from groundwork.ingest.wire import receive, send

_WATCH_SECONDS = 0.05
_ALARM_GRACE_SECONDS = 5.0
_RECYCLE_SHARE = 0.5
"""A worker that keeps more than this share of its memory limit after a file is replaced."""


@dataclass(frozen=True)
class Answer:
    """What a worker read: the header `child` sends, the text, and the files inside."""

    header: dict[str, object]
    text: str
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Request:
    """A file to read and how."""

    content: bytes
    media_type: str
    most_characters: int
    """A longer text is not sent back."""
    engine: Engine | None = None
    """Recognises the text of scans; None leaves them unread."""
    recognition_seconds: float = 0
    """How long that may take, on top of reading the file."""


class Pool:
    """Up to `size` workers, started when first needed. Thread-safe; a call waits for a free worker."""

    def __init__(self, size: int, timeout_seconds: float, memory_mib: int) -> None:
        self._timeout = timeout_seconds
        self._memory_mib = memory_mib
        self._closed = False
        self._reading: set[_Worker] = set()
        self._lock = threading.Lock()
        self._slots: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        for _ in range(size):
            self._slots.put(None)
        self._size = size

    def read(self, request: Request) -> Answer:
        """Reads a file in a worker; once more in a fresh one when the worker dies of itself or is killed by somebody.

        Raises Invalid when the file cannot be read or exceeds a limit, Unavailable when the pool is closed meanwhile.
        """
        worker = self._slots.get()
        try:
            worker = self._ready(worker)
            try:
                return self._read_in(worker, request)
            except _DiedError:
                worker = self._ready(worker)
                return self._read_in(worker, request)
        except _DiedError as death:
            if not death.taken:
                raise Unavailable("No process to read files in could be started; see the log of this host.") from None
            raise Invalid(death.reason) from None
        finally:
            self._slots.put(worker)

    def _read_in(self, worker: "_Worker", request: Request) -> Answer:
        with self._lock:
            if self._closed:
                raise _closed()
            self._reading.add(worker)
        try:
            answer = worker.read(request, self._timeout)
        except (Invalid, _DiedError):
            if self._closed:
                raise _closed() from None
            raise
        finally:
            with self._lock:
                self._reading.discard(worker)
        if worker.memory_mib() > _RECYCLE_SHARE * self._memory_mib:
            worker.stop()
        return answer

    def _ready(self, worker: "_Worker | None") -> "_Worker":
        if self._closed:
            raise _closed()
        if worker is not None and worker.is_alive():
            return worker
        if worker is not None:
            worker.stop()
        return _Worker(self._memory_mib)

    def close(self) -> None:
        """Ends every worker at once, whatever it is reading. May be called more than once."""
        self._closed = True
        with self._lock:
            for reading in self._reading:
                reading.kill()
        for _ in range(self._size):
            worker = self._slots.get()
            if worker is not None:
                worker.stop()
        for _ in range(self._size):
            self._slots.put(None)


class _DiedError(Exception):
    """A worker ended that nobody here ended; unless it had `taken` the file, that cannot be why."""

    def __init__(self, taken: bool, reason: str) -> None:
        super().__init__(reason)
        self.taken = taken
        self.reason = reason


def _closed() -> Unavailable:
    return Unavailable("Extraction is shutting down; the file was not read.")


class _Worker:
    def __init__(self, memory_mib: int) -> None:
        self._memory_limit = memory_mib
        lifeline, self._lifeline = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "groundwork.ingest.child", str(lifeline), str(memory_mib)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=(lifeline,),
                # Its own group, so that a program it runs ends with it.
                process_group=0,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            )
        finally:
            os.close(lifeline)

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def memory_mib(self) -> float:
        """Resident memory; 0 where the system does not tell."""
        try:
            pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        except (OSError, IndexError, ValueError):
            return 0.0
        return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)

    def read(self, request: Request, timeout: float) -> Answer:
        watch = _Watch(self, timeout, self._memory_limit)
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        taken = False
        try:
            with watch:
                send(stdin, _header(request, timeout), request.content)
                receive(stdout)
                taken = True
                header, body = receive(stdout)
                if header.get("recognising"):
                    watch.extend(request.recognition_seconds)
                    header, body = receive(stdout)
        except (OSError, EOFError):
            self.stop()
            if watch.reason:
                raise Invalid(watch.reason) from None
            raise _DiedError(taken, self._cause_of_death()) from None
        if watch.reason:
            # It answered while it was being ended for exceeding a limit.
            self.stop()
            raise Invalid(watch.reason)
        if "error" in header:
            raise Invalid(str(header["error"]))
        return _answer(header, body)

    def _cause_of_death(self) -> str:
        code = self._process.returncode
        name = signal.Signals(-code).name if code is not None and code < 0 else f"exit status {code}"
        return (
            f"The file's reader ended abruptly ({name}): the file is damaged, or it needs more than the "
            f"{self._memory_limit} MiB of memory a reader may use. Export it again, or split it."
        )

    def kill(self) -> None:
        with contextlib.suppress(OSError):
            if not hasattr(os, "killpg"):
                self._process.kill()
            elif self._process.returncode is None:
                # Not waited for yet, so that its number is still its own and its group's.
                os.killpg(self._process.pid, signal.SIGKILL)

    def stop(self) -> None:
        self.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        self._process.wait()
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1


def _header(request: Request, timeout: float) -> dict[str, object]:
    return {
        "media_type": request.media_type,
        "most_characters": request.most_characters,
        "alarm_seconds": timeout + _ALARM_GRACE_SECONDS,
        "engine": None if request.engine is None else asdict(request.engine),
        "recognition_seconds": request.recognition_seconds + _ALARM_GRACE_SECONDS,
    }


def _answer(header: dict[str, object], body: bytes) -> Answer:
    """The body is the text, then the files inside, one after the other."""
    at = int(str(header.get("text_bytes", len(body))))
    text = body[:at].decode("utf-8", "surrogatepass")
    parts: list[Part] = []
    for name, length in cast("list[tuple[str, int]]", header.get("parts", [])):
        parts.append(Part(name, body[at : at + length]))
        at += length
    return Answer(header, text, tuple(parts))


class _Watch:
    """Kills a worker that exceeds a limit while the body of the `with` runs, and remembers why."""

    def __init__(self, worker: _Worker, timeout: float, memory_mib: int) -> None:
        self.reason = ""
        self._worker = worker
        self._timeout = timeout
        self._recognition = 0.0
        self._deadline = time.monotonic() + timeout
        self._memory_mib = memory_mib
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="extract-watch", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def extend(self, seconds: float) -> None:
        """Gives the worker that long from now, to recognise text."""
        self._recognition = seconds
        self._deadline = time.monotonic() + seconds

    def _run(self) -> None:
        while not self._done.wait(_WATCH_SECONDS):
            if time.monotonic() > self._deadline:
                self.reason = self._late()
            elif self._worker.memory_mib() > self._memory_mib:
                self.reason = (
                    f"Reading the file took more than {self._memory_mib} MiB of memory: split it into smaller files, "
                    "or raise GROUNDWORK_INGEST__EXTRACT_MEMORY_MB."
                )
            if self.reason:
                self._worker.kill()
                return

    def _late(self) -> str:
        if self._recognition:
            return (
                f"Recognising the text of the scan (OCR) took longer than {self._recognition:g} s: split it into smaller "
                "files, or raise GROUNDWORK_INGEST__OCR_TIMEOUT_SECONDS."
            )
        return (
            f"Reading the file took longer than {self._timeout:g} s: split it into smaller files, or raise "
            "GROUNDWORK_INGEST__EXTRACT_TIMEOUT_SECONDS."
        )
