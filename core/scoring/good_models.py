"""Versions that have served well on this machine: a replica can start without the registry.

``versions.json`` of a problem names them, newest first, and their files lie beside it. What
was fetched may be deleted at any time; these are copies of their own.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from core.errors import NotFoundError, TrainingError
from core.kept_files import locked, write_durably
from core.scoring.bundle import FACTS_FILE, MODEL_FILE, Bundle, BundleRef, read_bundle

LOG = logging.getLogger(__name__)
#: Of each problem: the one that serves, and two to stand in for it if its copy is damaged.
KEPT = 3
LIST_FILE = "versions.json"


class _Kept(BaseModel):
    """What ``versions.json`` holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Newest first, each with the SHA-256 of its bundle.
    versions: tuple[BundleRef, ...] = ()


def good_models_folder(home: Path) -> Path:
    """Where versions that have served well are kept."""
    return home / "good-models"


class GoodModels:
    """The versions kept below ``folder``; replicas on one machine share it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def list(self, problem: str) -> tuple[BundleRef, ...]:
        """The versions of a problem, newest first; none where the list cannot be read."""
        try:
            text = (self._folder / problem / LIST_FILE).read_text(encoding="utf-8")
            return _Kept.model_validate_json(text).versions
        except FileNotFoundError:
            return ()
        except (OSError, ValidationError) as exc:
            LOG.warning("the list of good models of %s cannot be read: %s", problem, exc)
            return ()

    def read(self, ref: BundleRef) -> Bundle:
        """Reads one of ``list``.

        Raises:
            NotFoundError: its files are not there.
            TrainingError: they are damaged.
        """
        return read_bundle(self._place(ref.problem, ref.sha256), ref.sha256)

    def find(self, wanted: BundleRef) -> Bundle | None:
        """The copy of exactly what is wanted; ``None`` where there is no good one."""
        for ref in self.list(wanted.problem):
            same_files = ref.sha256 == wanted.sha256 if wanted.sha256 else ref.url == wanted.url
            if same_files and ref.version == wanted.version:
                try:
                    return self.read(ref)
                except (NotFoundError, TrainingError) as exc:
                    LOG.warning("the copy of %s v%d: %s", ref.problem, ref.version, exc)
        return None

    def keep(self, served: BundleRef, bundle: Bundle) -> None:
        """Makes a version the newest that has served well, durably.

        Raises:
            OSError: it cannot be written.
        """
        ref = served.model_copy(update={"sha256": bundle.sha256})
        if self._is_newest(ref):
            return
        file = self._folder / ref.problem / LIST_FILE
        with locked(file):
            self._write(ref, bundle)
            others = [one for one in self.list(ref.problem) if one.sha256 != ref.sha256]
            kept = _Kept(versions=(ref, *others[: KEPT - 1]))
            write_durably(file, kept.model_dump_json(indent=2).encode())
            self._drop_others(kept)

    def _is_newest(self, ref: BundleRef) -> bool:
        if self.list(ref.problem)[:1] != (ref,):
            return False
        try:
            self.read(ref)
        except (NotFoundError, TrainingError):
            return False
        return True

    def _write(self, ref: BundleRef, bundle: Bundle) -> None:
        place = self._place(ref.problem, ref.sha256)
        write_durably(place / MODEL_FILE, bundle.model)
        write_durably(place / FACTS_FILE, bundle.page)

    def _drop_others(self, kept: _Kept) -> None:
        named = {self._place(ref.problem, ref.sha256) for ref in kept.versions}
        for path in (self._folder / kept.versions[0].problem).iterdir():
            if path.is_dir() and path not in named:
                shutil.rmtree(path, ignore_errors=True)

    def _place(self, problem: str, sha256: str) -> Path:
        return self._folder / problem / sha256[:16]
