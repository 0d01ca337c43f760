"""Puts an S3 store where tests of tests/unit have a folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pyarrow import fs

from core.adapters.object_store import open_store
from core.settings_store import S3Store
from tests.s3 import S3Server
from tests.unit import finished


@pytest.fixture(scope="package")
def store(s3: S3Server) -> S3Store:
    """A bucket for these tests."""
    return s3.create_bucket("logs")


@pytest.fixture(autouse=True)
def _in_s3(store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of the bucket for each folder that a test asks for."""

    def choice(folder: Path) -> fs.FileSystem:
        return open_store(replace(store, prefix=folder.as_posix().strip("/")), Path("unused"))

    monkeypatch.setattr(finished, "choice", choice)
