"""Whether the disk under a data directory has room for the embedded server to write: one that is full ends it."""

import os
from pathlib import Path

ROOM_BYTES = 16 * 1024 * 1024
_MB = 1024 * 1024


def free_bytes(data_dir: Path) -> int | None:
    """Return what may still be written on the disk of a directory; None where that cannot be told."""
    try:
        found = os.statvfs(data_dir)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def disk_full(data_dir: Path) -> str:
    """Return that the disk has too little room for the server, as a sentence, or ""."""
    free = free_bytes(data_dir)
    if free is None or free >= ROOM_BYTES:
        return ""
    need = ROOM_BYTES // _MB
    return f"the disk of {data_dir} is full: {free / _MB:.1f} MB are free, {need} MB are needed; make room there"
