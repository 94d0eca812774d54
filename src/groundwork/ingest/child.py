"""The worker process that reads one file at a time: `python -m groundwork.ingest.child LIFELINE MEMORY_MIB`.

It speaks over its standard input and output (see `wire`). It dies with its parent whatever it is doing: the kernel
signals the end of the lifeline pipe, which only the parent holds open, and an alarm ends a reading that never does.
"""

import os
import select
import signal
import sys
from typing import IO, Any

from groundwork.errors import GroundworkError
from groundwork.ingest import formats
from groundwork.ingest.ocr import Engine
from groundwork.ingest.wire import receive, send


def main(lifeline: int, memory_mib: int) -> None:
    """Serves requests until the parent closes the pipe."""
    _die_with_parent(lifeline)
    _limit_memory(memory_mib)
    answers = os.fdopen(os.dup(1), "wb")
    # A library that prints must not spoil the protocol.
    os.dup2(2, 1)
    requests = sys.stdin.buffer
    while True:
        try:
            header, content = receive(requests)
        except EOFError:
            return
        # From here on, an end of this process is the file's doing.
        send(answers, {"taken": True}, b"")
        _alarm(float(str(header["alarm_seconds"])))
        answer, body = _answer(content, header, answers)
        _alarm(0)
        send(answers, answer, body)
        del content, body


def _alarm(seconds: float) -> None:
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _answer(content: bytes, request: dict[str, Any], answers: IO[bytes]) -> tuple[dict[str, object], bytes]:
    engine = Engine(**request["engine"]) if request["engine"] else None

    def recognising() -> None:
        _alarm(request["recognition_seconds"])
        send(answers, {"recognising": True}, b"")

    try:
        reading = formats.read(content, request["media_type"], formats.Recognition(engine, recognising))
    except GroundworkError as error:
        return {"error": error.message}, b""
    if len(reading.text) > request["most_characters"]:
        return {"characters": len(reading.text)}, b""
    text = reading.text.encode("utf-8", "surrogatepass")
    header: dict[str, object] = {
        "title": reading.title,
        "pages": reading.pages,
        "markdown": reading.markdown,
        "scanned": reading.scanned,
        "text_bytes": len(text),
        "parts": [(part.name, len(part.content)) for part in reading.parts],
    }
    return header, b"".join([text, *(part.content for part in reading.parts)])


def _die_with_parent(lifeline: int) -> None:
    if lifeline < 0:
        return
    import fcntl

    # The default action of SIGIO is to end the process; no thread and no lock of the interpreter can hold it up. This
    # process leads its group, which holds the programs it runs as well.
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([lifeline], [], [], 0)[0]:
        sys.exit(0)


def _limit_memory(memory_mib: int) -> None:
    """Data the process may hold: beyond the limit an allocation fails, which ends this worker and nothing else."""
    if sys.platform == "win32":
        return
    import resource

    limit = memory_mib << 20
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
