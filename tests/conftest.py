"""Fixtures that several kinds of tests share."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.installation import Installation, installation_in


@pytest.fixture(scope="session")
def installation() -> Iterator[Installation]:
    """A running installation with a served Titanic model; one for the whole session."""
    # Not pytest's own folder: a run that fails keeps that, with all of an installation.
    with tempfile.TemporaryDirectory(prefix="pilothouse-") as folder:
        with installation_in(Path(folder)) as made:
            yield made
