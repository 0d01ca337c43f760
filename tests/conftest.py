"""Fixtures that several kinds of tests share."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.installation import Installation, installation_in
from tests.postgres import PostgresServer, postgres_server
from tests.s3 import S3Server, s3_server


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds what long tests may be told."""
    told = "minutes that tests/integration/test_soak.py takes"
    parser.addoption("--soak-minutes", type=float, default=30.0, help=told)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Has tests of the installation run alone: it takes the cores it is given for its own."""
    for item in items:
        if isinstance(item, pytest.Function) and "installation" in item.fixturenames:
            item.add_marker(pytest.mark.alone)


@pytest.fixture(scope="session")
def installation() -> Iterator[Installation]:
    """A running installation with a served Titanic model; one for the whole session."""
    # Not pytest's own folder: a run that fails keeps that, with all of an installation.
    with tempfile.TemporaryDirectory(prefix="pilothouse-") as folder:
        with installation_in(Path(folder)) as made:
            yield made


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server; one for the whole session, with databases for who asks."""
    with postgres_server() as made:
        yield made


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server; one for the whole session, with buckets for who asks."""
    with s3_server(tmp_path_factory.mktemp("s3") / "server.log") as made:
        yield made


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Writes what a test has counted where it is seen, whatever comes of the test."""

    def say(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{text}\n")

    return say
