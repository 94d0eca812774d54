"""Room on the disk: looked at before more is written, since a PostgreSQL that fills its own disk stops serving at all."""

import shutil
from pathlib import Path

from groundwork.errors import Unavailable


def free_mib(folder: Path) -> int:
    """Free space where `folder` is, or will be, in MiB."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free >> 20


def ensure_room(folder: Path, reserve_mib: int) -> None:
    """Raises Unavailable when less than the reserve is free."""
    free = free_mib(folder)
    if free < reserve_mib:
        raise Unavailable(
            f"The disk of {folder} is full: {free} MiB are free and {reserve_mib} MiB are kept in reserve "
            "(GROUNDWORK_INGEST__RESERVE_DISK_MB). Make room; searching goes on, and so does this when there is room."
        )
