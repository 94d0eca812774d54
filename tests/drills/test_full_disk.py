"""A full disk in the middle of a sync: said as what it is, nothing lost, and it goes on when there is room."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

_INSIDE = Path(__file__).parent / "full_disk_inside.py"

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None, reason="a disk of its own needs root and unshare"
)


@pytest.fixture
def mount_point() -> Generator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="groundwork-disk-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_a_full_disk_is_told_survived_and_gone_on_from(mount_point: Path, tmp_path: Path) -> None:
    """Runs in a mount namespace of its own, where the data directory is a disk of 420 MB."""
    mounted = (
        f"mount -t tmpfs -o size=420m tmpfs {mount_point} && exec {sys.executable} {_INSIDE} {mount_point} {tmp_path}"
    )
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", mounted], capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout)
    assert seen["before"] == 5
    assert seen["full_code"] != 0, "it did not claim success on a full disk"
    assert "disk" in seen["full_error"].lower() or "space" in seen["full_error"].lower(), seen["full_error"]
    assert "Traceback" not in seen["full_error"], seen["full_error"][:6000]
    assert seen["health_full"] == "failed"
    assert seen["still_found"], "what was stored before is still found"
    assert seen["after"]["failed"] == 0
    assert seen["documents"] == seen["expected"]
    assert seen["check_code"] == 0, seen["check"]
