"""What a compaction is to change: a small file that is there or not, and by that decides."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

_NAME = "compaction.json"


@dataclass(frozen=True)
class Manifest:
    """Names relative to the log's folder, be what they name in the home or in a store."""

    publish: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


def has_manifest(folder: Path) -> bool:
    """Whether a compaction of the log in ``folder`` has happened and is not completed."""
    return (folder / _NAME).exists()


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the log in ``folder``; an empty one where there is none."""
    try:
        text = (folder / _NAME).read_text(encoding="utf-8")
    except FileNotFoundError:
        return Manifest()
    read = json.loads(text)
    return Manifest(tuple(read["publish"]), tuple(read["remove"]))


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Puts a manifest in place, wholly or not at all."""
    path = folder / _NAME
    unborn = path.with_name(f".{_NAME}")
    text = json.dumps({"publish": manifest.publish, "remove": manifest.remove})
    with unborn.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unborn.rename(path)


def remove_manifest(folder: Path) -> None:
    """The compaction is complete."""
    (folder / _NAME).unlink(missing_ok=True)
