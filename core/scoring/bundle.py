"""What a server needs of one version: an ONNX file and a page of facts.

A bundle is a folder with ``model.onnx`` and ``bundle.json``. It holds no pickle;
the derived features come from the problem's own file, whose contract
fingerprint the bundle carries.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from core.errors import ConflictError, NotFoundError, TrainingError, UnavailableError
from core.problems.contract import Problem

MODEL_FILE = "model.onnx"
FACTS_FILE = "bundle.json"
FETCH_TIMEOUT_S = 30.0
#: A registry that is gone is told soon, so that what is on disk may answer.
CONNECT_TIMEOUT_S = 5.0
#: Fetched versions of one problem that are kept; those that nobody has read longest go.
FETCHED_KEPT = 8
#: What a process has left behind that died over fetching is removed after so long.
_LEFT_BEHIND_S = 3600.0
_PART = ".fetch-"


class BundleFacts(BaseModel):
    """What is known of a version apart from its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    problem: str
    contract_fingerprint: str
    family: str
    #: Probability of the positive class from which on the label is positive.
    threshold: float
    run_id: str
    data_version: str
    git_commit: str
    metrics: Mapping[str, float]
    model_sha256: str

    def fits(self, problem: Problem) -> bool:
        """Whether this code feeds it with the columns that it was trained on."""
        return self.contract_fingerprint == problem.contract.fingerprint()


class BundleRef(BaseModel):
    """Where a version's bundle is to be had. Travels in Serve's ``user_config``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    problem: str
    version: int
    #: HTTP folder of the artifacts; ``{url}/model.onnx`` and ``{url}/bundle.json`` exist.
    url: str
    #: SHA-256 of the page of facts that was decided on, in hex; any other bundle is refused.
    #: Empty where the promotion record holds none.
    sha256: str = ""


@dataclass(frozen=True)
class Bundle:
    """A whole bundle whose model is the one that its page of facts names."""

    model: bytes
    #: The bytes of ``bundle.json``, which ``facts`` were read from.
    page: bytes
    facts: BundleFacts

    @property
    def sha256(self) -> str:
        """SHA-256 of the page of facts, in hex, and so of the whole bundle."""
        return hashlib.sha256(self.page).hexdigest()


def bundles_folder(home: Path) -> Path:
    """Where versions that were fetched are kept; may be deleted."""
    return home / "bundles"


def write_bundle(folder: Path, model: bytes, facts: BundleFacts) -> None:
    """Writes a bundle into an existing or new folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL_FILE).write_bytes(model)
    (folder / FACTS_FILE).write_text(facts.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_bundle(folder: Path, sha256: str = "") -> Bundle:
    """Reads a bundle and checks the model's hash.

    Args:
        folder: where it lies.
        sha256: of the page of facts that it must have; empty where any will do.

    Raises:
        NotFoundError: a file is missing.
        TrainingError: the facts cannot be read or a hash differs.
    """
    try:
        model = (folder / MODEL_FILE).read_bytes()
        page = (folder / FACTS_FILE).read_bytes()
    except FileNotFoundError as exc:
        raise NotFoundError(f"There is no model bundle in {folder.name}.") from exc
    if sha256 and hashlib.sha256(page).hexdigest() != sha256:
        raise TrainingError(
            "The files of this version are not the ones that were decided on.",
            fix="Find out who changed them in MLflow; train the version again or roll back.",
        )
    try:
        facts = BundleFacts.model_validate_json(page)
    except ValidationError as exc:
        raise TrainingError("The facts of the model bundle cannot be read.") from exc
    if hashlib.sha256(model).hexdigest() != facts.model_sha256:
        raise TrainingError(
            "The model file differs from the one that was registered.",
            fix="Delete the cached copy so that it is fetched again.",
        )
    return Bundle(model, page, facts)


def obtain_bundle(ref: BundleRef, cache: Path) -> Bundle:
    """Returns a version's bundle from the cache or the registry.

    A copy that is damaged, or is not what was decided on, is fetched again.

    Raises:
        UnavailableError: the registry does not answer and there is no local copy.
        NotFoundError: the registry has no such bundle.
        TrainingError: the bundle is damaged, or another one, where it comes from.
    """
    folder = cached_bundle(ref, cache)
    try:
        bundle = read_bundle(folder, ref.sha256)
    except (NotFoundError, TrainingError):
        return _fetch(ref, folder)
    with contextlib.suppress(OSError):
        os.utime(folder)  # so that it is not the next to go
    return bundle


def cached_bundle(ref: BundleRef, cache: Path) -> Path:
    """Folder in which a version's bundle lies once it was fetched."""
    return cache / ref.problem / hashlib.sha256(ref.url.encode()).hexdigest()[:16]


def require_contract(facts: BundleFacts, ref: BundleRef, problem: Problem) -> None:
    """Refuses a bundle that this code would feed with other columns than it was trained on.

    Raises:
        ConflictError: it is another problem's, or was trained under another contract.
    """
    if facts.problem != ref.problem:
        raise ConflictError(f"The bundle holds a model of {facts.problem}, not {ref.problem}.")
    if not facts.fits(problem):
        raise ConflictError(
            f"Version {ref.version} was trained under another contract of {ref.problem} "
            "than the one of this code.",
            fix="Train a new version, or run the code that the version was trained with.",
        )


def _fetch(ref: BundleRef, folder: Path) -> Bundle:
    """Fetches a bundle into ``folder``, where it appears only when it is whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=_PART))
    try:
        for name in (MODEL_FILE, FACTS_FILE):
            (part / name).write_bytes(_get(f"{ref.url}/{name}"))
        bundle = read_bundle(part, ref.sha256)
        _put_in_place(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    _drop_old(folder.parent)
    return bundle


def _put_in_place(part: Path, folder: Path) -> None:
    try:
        part.replace(folder)
    except OSError:
        # A damaged copy, or one that another process has put there meanwhile. Whoever reads
        # the folder at this moment finds none and fetches it.
        if not folder.exists():
            raise
        doomed = Path(tempfile.mkdtemp(dir=folder.parent, prefix=_PART))
        folder.replace(doomed)
        with contextlib.suppress(OSError):  # yet another process was faster, with the same
            part.replace(folder)
        shutil.rmtree(doomed, ignore_errors=True)


def _drop_old(folder: Path) -> None:
    """Keeps the versions of one problem that were read last."""
    found = sorted(folder.iterdir(), key=_read_at, reverse=True)
    whole = [path for path in found if not path.name.startswith(_PART)]
    left = [path for path in found if path.name.startswith(_PART)]
    abandoned = [path for path in left if time.time() - _read_at(path) > _LEFT_BEHIND_S]
    for path in (*whole[FETCHED_KEPT:], *abandoned):
        shutil.rmtree(path, ignore_errors=True)


def _read_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another process was faster
        return 0.0


def _get(url: str) -> bytes:
    timeout = httpx.Timeout(FETCH_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    try:
        response = httpx.get(url, timeout=timeout, trust_env=False)
        if response.status_code == httpx.codes.NOT_FOUND:
            raise NotFoundError(
                "The registry has no files for this model version.",
                fix="Look whether the version still exists in MLflow.",
            )
        response.raise_for_status()
    except httpx.HTTPError as exc:
        raise UnavailableError(
            "MLflow does not answer, so the model cannot be fetched.",
            fix="Run `make status`, then `make up`.",
        ) from exc
    return response.content
