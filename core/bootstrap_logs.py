"""Builds the doors to what was answered and to late labels."""

from __future__ import annotations

from collections.abc import Mapping

from pyarrow import fs

from core.adapters.object_store import open_store
from core.data.labels import LabelLog, labels_folder
from core.deployment.inference_log import InferenceLog, inference_folder
from core.problems.contract import Contract
from core.settings import Settings


def connect_labels(settings: Settings) -> LabelLog:
    """Builds the door to late labels."""
    folder = labels_folder(settings.home)
    return LabelLog(folder, finished=_finished(settings, folder.name))


def connect_log(settings: Settings, contracts: Mapping[str, Contract]) -> InferenceLog:
    """Builds the door to what was answered; ``contracts`` are those of the problems by name."""
    folder = inference_folder(settings.home)
    return InferenceLog(folder, contracts, _finished(settings, folder.name))


def _finished(settings: Settings, name: str) -> fs.FileSystem:
    """Where the finished files of a log are: in the S3 store, if there is one, or in the home."""
    return fs.SubTreeFileSystem(name, open_store(settings.store, settings.home))
