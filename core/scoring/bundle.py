"""What a server needs of one version: an ONNX file and a page of facts.

A bundle is a folder with ``model.onnx`` and ``bundle.json``. It holds no pickle;
the derived features come from the problem's own file, whose contract
fingerprint the bundle carries.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from core.errors import ConflictError, NotFoundError, TrainingError, UnavailableError
from core.problems.contract import Problem

MODEL_FILE = "model.onnx"
FACTS_FILE = "bundle.json"
FETCH_TIMEOUT_S = 30.0


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


class BundleRef(BaseModel):
    """Where a version's bundle is to be had. Travels in Serve's ``user_config``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    problem: str
    version: int
    #: HTTP folder of the artifacts; ``{url}/model.onnx`` and ``{url}/bundle.json`` exist.
    url: str


def bundles_folder(home: Path) -> Path:
    """Where versions that were fetched are kept; may be deleted."""
    return home / "bundles"


def write_bundle(folder: Path, model: bytes, facts: BundleFacts) -> None:
    """Writes a bundle into an existing or new folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL_FILE).write_bytes(model)
    (folder / FACTS_FILE).write_text(facts.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_bundle(folder: Path) -> tuple[bytes, BundleFacts]:
    """Reads a bundle and checks the model's hash.

    Raises:
        NotFoundError: a file is missing.
        TrainingError: the facts cannot be read or the hash differs.
    """
    try:
        model = (folder / MODEL_FILE).read_bytes()
        text = (folder / FACTS_FILE).read_text(encoding="utf-8")
    except FileNotFoundError as exc:
        raise NotFoundError(f"There is no model bundle in {folder.name}.") from exc
    try:
        facts = BundleFacts.model_validate_json(text)
    except ValidationError as exc:
        raise TrainingError("The facts of the model bundle cannot be read.") from exc
    if hashlib.sha256(model).hexdigest() != facts.model_sha256:
        raise TrainingError(
            "The model file differs from the one that was registered.",
            fix="Delete the cached copy so that it is fetched again.",
        )
    return model, facts


def obtain_bundle(ref: BundleRef, cache: Path) -> tuple[bytes, BundleFacts]:
    """Returns the exact bytes of a version's model, and its facts, from the cache or the registry.

    Raises:
        UnavailableError: the registry does not answer and there is no local copy.
        NotFoundError: the registry has no such bundle.
        TrainingError: the bundle is damaged where it comes from.
    """
    folder = fetch_bundle(ref, cache)
    try:
        return read_bundle(folder)
    except TrainingError:
        # A damaged copy heals itself; a bundle damaged at its source fails in the fetch.
        shutil.rmtree(folder, ignore_errors=True)
        return read_bundle(fetch_bundle(ref, cache))


def require_contract(facts: BundleFacts, ref: BundleRef, problem: Problem) -> None:
    """Refuses a bundle that this code would feed with other columns than it was trained on.

    Raises:
        ConflictError: it is another problem's, or was trained under another contract.
    """
    if facts.problem != ref.problem:
        raise ConflictError(f"The bundle holds a model of {facts.problem}, not {ref.problem}.")
    if facts.contract_fingerprint != problem.contract.fingerprint():
        raise ConflictError(
            f"Version {ref.version} was trained under another contract of {ref.problem} "
            "than the one of this code.",
            fix="Train a new version, or run the code that the version was trained with.",
        )


def fetch_bundle(ref: BundleRef, cache: Path) -> Path:
    """Returns the local folder of a bundle, fetched once into ``cache``.

    The copy appears under its final name only when it is whole, so a process that
    dies half-way leaves nothing that looks like a bundle.

    Raises:
        UnavailableError: the registry does not answer and there is no local copy.
        NotFoundError: the registry has no such bundle.
    """
    final = cache / ref.problem / hashlib.sha256(ref.url.encode()).hexdigest()[:16]
    if (final / FACTS_FILE).exists() and (final / MODEL_FILE).exists():
        return final
    final.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=final.parent, prefix=".fetch-"))
    try:
        for name in (MODEL_FILE, FACTS_FILE):
            (part / name).write_bytes(_get(f"{ref.url}/{name}"))
        read_bundle(part)
        try:
            part.replace(final)
        except OSError:
            # Another process on this node won the race; its copy is as good.
            if not (final / FACTS_FILE).exists():
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return final


def _get(url: str) -> bytes:
    try:
        response = httpx.get(url, timeout=FETCH_TIMEOUT_S, trust_env=False)
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
