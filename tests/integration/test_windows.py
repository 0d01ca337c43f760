"""What Serve has answered is checked over a window of time and over the last rows."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pyarrow as pa
import pytest

from core.adapters.nannyml import load_later
from tests.installation import Installation

FIELDS = ("Pclass", "Sex", "Age", "SibSp", "Parch", "Fare", "Embarked")
NOT_ENOUGH_DATA, CRITICAL = 3, 42


def _records() -> list[dict[str, Any]]:
    later: pa.Table = load_later("titanic")
    # JSON knows no NaN: what is missing is left out.
    return [
        {name: value for name, value in row.items() if value is not None and value == value}
        for row in later.select(FIELDS).to_pylist()
    ]


def _check(installation: Installation, *window: str) -> tuple[int, dict[str, Any]]:
    done = installation.command("drift", "titanic", *window, "--json")
    return done.returncode, json.loads(done.stdout)


@pytest.mark.timeout(300)
def test_a_window_of_what_was_answered_is_checked(installation: Installation) -> None:
    records = _records()
    answer = httpx.post(
        f"{installation.settings.serving_url}/predict/titanic",
        json={"records": records},
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    code, day = _check(installation, "--window", "24h")
    assert code in (0, CRITICAL)
    assert day["check"]["level"] in ("ok", "warning", "critical")
    # Other tests may have asked the model as well.
    assert day["check"]["rows"] >= len(records)
    assert {one["column"] for one in day["report"]["features"]} >= {"Fare", "Sex"}
    code, few = _check(installation, "--last-rows", "20")
    assert code == NOT_ENOUGH_DATA
    assert few["check"]["level"] == "not enough data"
    assert "20 of 50" in few["check"]["summary"]
