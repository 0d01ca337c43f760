"""A folder on a disk of its own that can be filled up, and emptied again."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

SIZE_MIB = 32
_FILLER = "filler"


@dataclass(frozen=True)
class Disk:
    """A folder. ``is_own`` says that it is a file system by itself, which takes root."""

    folder: Path
    is_own: bool

    @contextmanager
    def full(self, writers: Callable[[], Sequence[psutil.Process]]) -> Iterator[str]:
        """While it lasts nothing more can be written; yields what the system says of it.

        Where the folder is no disk of its own the ``writers`` may make no file larger, which
        is as good as a full disk but for the words.
        """
        if self.is_own:
            filler = self.folder / _FILLER
            with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                while file.write(b"\0" * 4096):
                    pass
            try:
                yield "No space left on device"
            finally:
                filler.unlink()
            return
        before = [(writer, writer.rlimit(psutil.RLIMIT_FSIZE)) for writer in writers()]
        for writer, (_, hard) in before:
            writer.rlimit(psutil.RLIMIT_FSIZE, (1, hard))
        try:
            yield "File too large"
        finally:
            for writer, limits in before:
                writer.rlimit(psutil.RLIMIT_FSIZE, limits)


@contextmanager
def disk_at(folder: Path) -> Iterator[Disk]:
    """Makes the folder, on a disk of its own if we may."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "tmpfs", str(folder)]
    is_own = subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield Disk(folder, is_own)
    finally:
        if is_own:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
