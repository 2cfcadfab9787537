"""A small disk of its own for a folder, which can be full: a file system in memory, where we may mount one."""

from __future__ import annotations

import errno
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BALLAST = "ballast"


@contextmanager
def small_disk(folder: Path, size_byte: int) -> Iterator[bool]:
    """Mount a disk of such a size in place of a folder, which has what was on it afterwards; false: not permitted."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_byte}", "tmpfs", str(folder)]
    permitted = shutil.which("mount") is not None and not subprocess.run(mount, capture_output=True).returncode  # noqa: PLW1510
    try:
        yield permitted
    finally:
        if permitted:
            kept = folder.with_name(f"{folder.name}-kept")
            shutil.copytree(folder, kept)
            subprocess.run(["umount", str(folder)], check=True)
            folder.rmdir()
            kept.rename(folder)


def fill(folder: Path) -> None:
    """Leave no room on a folder's disk."""
    with (folder / BALLAST).open("wb", buffering=0) as file:
        try:
            while file.write(bytes(1_048_576)):
                pass
        except OSError as err:
            if err.errno != errno.ENOSPC:
                raise


def empty(folder: Path) -> None:
    """Give the room back."""
    (folder / BALLAST).unlink(missing_ok=True)
