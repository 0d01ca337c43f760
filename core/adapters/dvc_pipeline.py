"""DVC: whether what the repository's pipeline has made is up to date."""

from __future__ import annotations

import logging
from pathlib import Path

from core.errors import UnavailableError


def outdated_stages(root: Path, target: str) -> tuple[str, ...]:
    """Stages up to ``target`` whose code, parameters or data have changed since they ran.

    Raises:
        UnavailableError: there is no pipeline at ``root``, or DVC cannot read it.
    """
    # DVC takes most of a second to import, so that is done when it is needed.
    from dvc.exceptions import DvcException
    from dvc.lock import LockError
    from dvc.repo import Repo

    # Its progress bars and warnings are for people at its own command line.
    logging.getLogger("dvc").setLevel(logging.CRITICAL)
    # By the whole path, both ways: DVC takes a bare name for one of the current folder.
    address = f"{root / 'dvc.yaml'}:{target}"
    try:
        with Repo(str(root)) as repo:
            behind = repo.status(targets=[address], with_deps=True)
        return tuple(sorted(stage.rpartition(":")[2] for stage in behind))
    except LockError as exc:
        raise UnavailableError(
            "Another process works in the pipeline.", fix="Wait for it to end, then try again."
        ) from exc
    except (DvcException, OSError) as exc:
        raise UnavailableError(
            f"DVC cannot read the pipeline of {root}: {exc}",
            fix="Call this from a clone of the repository, where `dvc repro` works.",
        ) from exc
