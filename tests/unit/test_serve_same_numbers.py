"""Whatever the protocol, a record gets the same number and the same row in the log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.deployment.inference_log import InferenceLog
from tests.unit.protocols import (
    PROBLEMS,
    VERSION,
    WAYS,
    Endpoint,
    answers_of,
    endpoint,
    records_of,
)


@pytest.fixture(scope="module")
def end(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with endpoint(tmp_path_factory.mktemp("same")) as serving:
        yield serving


@pytest.mark.parametrize("name", PROBLEMS)
@settings(max_examples=25, deadline=None)
@given(rows=st.integers(1, 40), seed=st.integers(0, 2**32 - 1))
def test_every_way_gives_the_same_number(end: Endpoint, name: str, rows: int, seed: int) -> None:
    problem = PROBLEMS[name]
    records = records_of(problem, rows, seed)
    told = {way: answers_of(way, ask(end, problem, records)) for way, ask in WAYS.items()}
    expected = told["predict"]
    assert len(expected) == rows
    # Equal to the bit: the same code has scored the same values.
    assert {way: answer for way, answer in told.items() if answer != expected} == {}


def test_the_model_of_this_test_looks_at_what_is_sent(end: Endpoint) -> None:
    for problem in PROBLEMS.values():
        told = answers_of("predict", WAYS["predict"](end, problem, records_of(problem, 200, 1)))
        assert len(set(told)) > 150
        assert {label for label, _ in told} == {0, 1}


def test_every_way_leaves_the_same_rows_in_the_log(tmp_path: Path) -> None:
    rows = 20
    for name, problem in PROBLEMS.items():
        ids: dict[str, str] = {}
        with endpoint(tmp_path / name, name, keep_log=True) as serving:
            records = records_of(problem, rows, seed=3)
            for way, ask in WAYS.items():
                response = ask(serving, problem, records)
                ids[_request_id(response)] = way
        table = InferenceLog(tmp_path / name / "inference").window(name)
        logged: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
        for row in table.to_pylist():
            way = ids[row.pop("request_id")]
            del row["at"]
            logged[way].append(row)
        assert len(logged["predict"]) == rows
        assert {row["version"] for row in logged["predict"]} == {VERSION}
        for way, kept in logged.items():
            assert kept == logged["predict"], way


def _request_id(response: Any) -> str:
    body = response.content
    length = response.headers.get("inference-header-content-length")
    document = json.loads(body[: int(length)] if length else body)
    return str(document.get("request_id") or document["parameters"]["request_id"])
