"""Processes and their memory, read from /proc."""

import os
import socket
from pathlib import Path


def rss_mb(pid: int) -> float:
    """Resident memory of a process, in MiB."""
    return _status_kib(pid, "VmRSS") / 1024


def peak_rss_mb(pid: int) -> float:
    """The most resident memory a process ever had, in MiB."""
    return _status_kib(pid, "VmHWM") / 1024


def tree_pss_mb(names: str) -> float:
    """Memory of all processes whose command line holds `names`, shared pages counted once, in MiB."""
    total = 0
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            total += _pss_kib(folder, names)
    return total / 1024


def free_port() -> int:
    """A TCP port nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _status_kib(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    return 0


def _pss_kib(folder: Path, names: str) -> int:
    try:
        if names not in (folder / "cmdline").read_text():
            return 0
        for line in (folder / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except OSError:
        return 0
    return 0
