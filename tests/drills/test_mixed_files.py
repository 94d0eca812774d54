"""The drill of mixed real files, on every file there is and a few more."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_DATA = _ROOT.parent / "shared" / "data"


@pytest.mark.data
@pytest.mark.skipif(not (_DATA / "files").is_dir(), reason="the document sets are not beside the project")
def test_every_good_file_is_found_and_every_bad_one_has_a_reason() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "drills", "--json", "mixed-files", "--files", "260", "--no-scans", "--sample", "40"],
        cwd=_ROOT,
        env={**os.environ, "GROUNDWORK_INGEST__OCR_LANGUAGES": "", "GROUNDWORK_LOG_LEVEL": "error"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    figures = result["figures"]
    assert result["problems"] == []
    assert figures["found"] == figures["looked_for"] == 40
    assert figures["ready"] + figures["failed"] == figures["files"] == 260
    assert figures["failed"] == len(figures["failures"]) > 5
    assert len(figures["media_types"]) > 12
