"""What happens on the full disk of `test_full_disk`; prints what a person saw, as JSON."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

_DOCUMENTS = 250


def groundwork(data_dir: Path, *arguments: str, seconds: float = 60) -> "subprocess.CompletedProcess[str]":
    """Runs a command; one that keeps trying is interrupted, as a person would."""
    environment = {**os.environ, "GROUNDWORK_DATA_DIR": str(data_dir), "GROUNDWORK_EMBEDDER__KIND": "hashing"}
    process = subprocess.Popen(
        [sys.executable, "-m", "groundwork", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def main(disk: Path, scratch: Path) -> None:
    """Fills the disk during a sync, makes room, and goes on."""
    data_dir = disk / "data"
    few = scratch / "few"
    few.mkdir()
    for n in range(5):
        (few / f"{n}.md").write_text(f"# Early {n}\n\nThe early bird number {n} sings.\n")
    many = scratch / "many"
    many.mkdir()
    for n in range(_DOCUMENTS):
        (many / f"{n}.md").write_text(f"# Late {n}\n\n" + f"Late words number {n} again. " * 700)
    before = json.loads(groundwork(data_dir, "ingest", str(few), "--json").stdout)
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        file.write(b"\0" * max(0, free - (131 << 20)))
    full = groundwork(data_dir, "ingest", str(many), seconds=20)
    health = groundwork(data_dir, "health", "--json")
    found = groundwork(data_dir, "search", "early bird", "--json")
    ballast.unlink()
    time.sleep(1)
    after = groundwork(data_dir, "ingest", str(many), "--json")
    check = groundwork(data_dir, "check", "--json")
    documents = json.loads(groundwork(data_dir, "collections", "show", "default", "--json").stdout)
    print(
        json.dumps(
            {
                "before": before["added"],
                "full_code": full.returncode,
                "full_error": full.stderr,
                "health_full": json.loads(health.stdout)["status"] if health.stdout else health.stderr,
                "still_found": bool(found.stdout and json.loads(found.stdout)["passages"]),
                "after": json.loads(after.stdout) if after.stdout else {"failed": after.stderr},
                "check_code": check.returncode,
                "check": check.stdout[-1500:],
                "documents": documents["documents"],
                "expected": 5 + _DOCUMENTS,
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
