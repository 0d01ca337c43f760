"""A whole installation whose records and whose MLflow are on PostgreSQL."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
import pytest
from pydantic import SecretStr

from core.services.layout import layout_of
from core.services.processes import tagged_processes
from tests.installation import Installation, prepare, running
from tests.postgres import PostgresServer

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]
#: What may know a password of a database, by a part of its command line.
NEEDING = {"records": ("supervisord", "core.worker", "app/server.py"), "mlflow": ("mlflow",)}
RECORD = {"Pclass": 1, "Sex": "female", "SibSp": 0, "Parch": 0, "Fare": 80.0}


@pytest.fixture(scope="module")
def kept_in(postgres: PostgresServer) -> Iterator[dict[str, str]]:
    """The names of two empty databases."""
    made = {name: postgres.create().rpartition("/")[2] for name in ("records", "mlflow")}
    yield made
    for name in made.values():
        postgres.run(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def elsewhere(postgres: PostgresServer, kept_in: dict[str, str]) -> Iterator[Installation]:
    """An installation that is up, with each database under a role of its own."""
    for name, database in kept_in.items():
        postgres.run(f"CREATE ROLE {name} LOGIN PASSWORD 'S3cret-of-{name}'")
        postgres.run(f"ALTER DATABASE {database} OWNER TO {name}")
    addresses = {
        name: postgres.url(database, user=name, password=f"S3cret-of-{name}")
        for name, database in kept_in.items()
    }
    with tempfile.TemporaryDirectory(prefix="pilothouse-") as folder:
        # One in a variable, the other in a file.
        file = Path(folder) / "address"
        file.write_text(addresses["mlflow"], encoding="utf-8")
        file.chmod(0o600)
        made = prepare(
            Path(folder),
            database_url=SecretStr(addresses["records"]),
            mlflow_database_url_file=str(file),
        )
        with running(made) as up:
            yield replace(up, planted=up.planted.with_texts("S3cret-of-records"))


def test_it_trains_decides_and_serves(
    elsewhere: Installation, postgres: PostgresServer, kept_in: dict[str, str]
) -> None:
    version = httpx.post(
        f"{elsewhere.settings.serving_url}/predict/titanic",
        json={"records": [RECORD]},
        trust_env=False,
        timeout=30,
    ).json()["model_version"]
    served = postgres.run("SELECT version, rule FROM promotions", kept_in["records"])
    assert served == [(int(version), "bootstrap")]
    found = postgres.run("SELECT status, model_version FROM runs", kept_in["records"])
    assert found == [("finished", int(version))]
    assert postgres.run("SELECT name FROM registered_models", kept_in["mlflow"]) == [("titanic",)]
    assert elsewhere.command("audit", "verify").returncode == 0
    home = elsewhere.settings.home
    assert [file for name in ("pilothouse.db", "mlflow.db") for file in home.rglob(name)] == []


def test_passwords_are_where_they_are_needed(elsewhere: Installation) -> None:
    layout = layout_of(elsewhere.settings.home)
    said = elsewhere.command("doctor").stdout + elsewhere.command("status").stdout
    assert "PostgreSQL" in said
    assert "S3cret-of" not in said
    seeing: dict[str, set[str]] = {"records": set(), "mlflow": set()}
    for process in tagged_processes(layout):
        try:
            line, environment = " ".join(process.cmdline()), str(process.environ())
        except psutil.Error:
            continue
        assert "S3cret-of" not in line
        for name, lines in seeing.items():
            if f"S3cret-of-{name}" in environment:
                lines.add(line)
    for name, lines in seeing.items():
        assert lines
        assert [one for one in lines if not any(part in one for part in NEEDING[name])] == []
    assert elsewhere.planted.below(elsewhere.settings.home, layout.runtime) == {}


def test_the_database_may_be_restarted_under_it(
    elsewhere: Installation, postgres: PostgresServer
) -> None:
    url = f"{elsewhere.settings.serving_url}/predict/titanic"
    postgres.stop()
    answer = httpx.post(url, json={"records": [RECORD]}, trust_env=False, timeout=30)
    assert answer.status_code == 200
    refused = elsewhere.command("runs", "list")
    assert refused.returncode != 0
    assert "The database does not answer" in refused.stdout + refused.stderr
    postgres.start()
    assert elsewhere.ask("runs", "list")
    answer = httpx.post(url, json={"records": [RECORD]}, trust_env=False, timeout=30)
    assert answer.status_code == 200
    assert elsewhere.command("status").returncode == 0
