"""What a body within the allowed size can do: be refused in a sentence, and no more."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from core.problems.contract import MAX_TEXT
from core.settings import CODE_ROOT
from serve.validation import EXPLAINED_BYTES
from tests.serving_support import RECORD
from tests.unit.hostile_bodies import BODIES, SIZE
from tests.unit.test_serve_requests import DECODER, body_of, offences_of

#: Some copies of a body; read as objects of Python, the worst of them would take twenty-five.
MOST_MB = 10 * SIZE / 2**20
#: A number may be as long as a body: eight bytes are kept of it.
TAKEN_AS_RECORDS, TAKEN_AS_LABELS = {"a fraction"}, {"an index as a fraction"}


def test_no_body_takes_much_memory_or_an_answer_of_its_size(tmp_path: Path) -> None:
    for name, make in BODIES.items():
        (tmp_path / name).write_bytes(make())
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.hostile_bodies", str(tmp_path)],
        cwd=CODE_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["told"].keys() == BODIES.keys()
    for name, (as_records, as_labels) in found["told"].items():
        assert bool(as_records) == (name not in TAKEN_AS_RECORDS), name
        assert bool(as_labels) == (name not in TAKEN_AS_LABELS), name
        for told in (as_records, as_labels):
            assert len("".join(told)) < 1_000, name
    assert found["grown_mb"] < MOST_MB


def test_every_offence_of_the_largest_usual_request_is_named() -> None:
    """Ten thousand records of Titanic, as many as one request may hold."""
    assert len(body_of(*[RECORD] * 10_000)) < EXPLAINED_BYTES


@pytest.mark.parametrize("field", ["Embarked", "Name"])
def test_a_text_is_no_longer_than_a_category_may_be(field: str) -> None:
    assert DECODER.columns(body_of({**RECORD, field: "x" * MAX_TEXT}))
    too_long = body_of({**RECORD, field: "x" * (MAX_TEXT + 1)})
    assert offences_of(too_long) == {f"0:{field}": "must have at most 1,000 characters"}
