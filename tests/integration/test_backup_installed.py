"""A whole installation is backed up while it answers, lost, restored, and serves the same again."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.installation import Installation, prepare, running

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]
PASSENGER = {"Pclass": 3, "Sex": "male", "Age": 22, "SibSp": 1, "Parch": 0, "Fare": 7.25}


def _ask(made: Installation, path: str, **given: Any) -> Any:
    with httpx.Client(base_url=made.settings.serving_url, timeout=30, trust_env=False) as http:
        answer = http.request("POST" if given else "GET", path, **given)
    answer.raise_for_status()
    return answer.json()


def _prediction(made: Installation) -> tuple[int, Any]:
    answer = _ask(made, "/predict/titanic", json={"records": [PASSENGER]})
    return answer["model_version"], answer["predictions"]


def _history(made: Installation) -> list[Any]:
    found: list[Any] = made.ask("promote", "history", "titanic")
    return found


@contextmanager
def _asked_meanwhile(made: Installation) -> Iterator[list[str]]:
    """Asks for predictions all the time; gives the requests that were answered."""
    stop, answered = threading.Event(), []

    def ask() -> None:
        while not stop.wait(0.02):
            answer = _ask(made, "/predict/titanic", json={"records": [PASSENGER]})
            answered.append(answer["request_id"])

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield answered
    finally:
        stop.set()
        asking.join()


def test_what_was_served_is_served_again(tell: Callable[[str], None]) -> None:
    with tempfile.TemporaryDirectory(prefix="pilothouse-") as folder:
        made = prepare(Path(folder), require_keys="no")
        file = Path(folder) / "b.tar.gz"
        with running(made):
            version, history = _prediction(made), _history(made)
            evidence = _ask(made, "/problems/titanic")
            with _asked_meanwhile(made) as answered:
                created = made.ask("backup", "create", "--to", str(file))
            assert answered, "nothing was answered while the backup was made"
            refused = made.command("backup", "restore", str(file), "--replace")
            assert refused.returncode != 0
            assert "in use" in refused.stderr
            runs = made.ask("runs", "list")
        shutil.rmtree(made.settings.home)

        done = made.ask("backup", "restore", str(file), "--reason", "the disk was lost")
        assert done["aside"] is None
        with running(made):
            # Nothing was trained: what answers is what answered before.
            assert made.ask("runs", "list") == runs
            assert _prediction(made) == version
            assert _ask(made, "/problems/titanic") == evidence
            assert _history(made) == history
            assert made.ask("audit", "verify")["is_whole"]
            # An answer of before is still traced to its model and scored again the same.
            traced = made.command("trace", answered[0], "--replay")
            assert traced.returncode == 0, traced.stdout + traced.stderr
            # And it goes on.
            assert made.ask("backup", "create")["files"] > 0
        size = (created["content_bytes"] / 2**20, created["archive_bytes"] / 2**20)
        tell(f"{created['files']} files, {size[0]:.1f} MiB in {size[1]:.1f} MiB")
