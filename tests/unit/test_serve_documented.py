"""The OpenAPI document says what the endpoint does, and the endpoint does what it says.

``tests/integration/test_fuzz.py`` asks a real one, and more of it.
"""

from __future__ import annotations

from pathlib import Path

import schemathesis

from tests.unit.documented import hold
from tests.unit.protocols import PROBLEMS, endpoint

COUNT = 8


def test_the_endpoint_answers_as_documented(tmp_path: Path) -> None:
    with endpoint(tmp_path, keep_log=True) as serving:
        held = hold(schemathesis.openapi.from_asgi("/openapi.json", serving.app), COUNT)
    assert not held.faults, f"{len(held.faults)} faults\n" + "\n".join(held.faults[:10])
    # Every operation was asked, and those with a body both ways.
    assert {label for label, _, _ in held.answers} >= {
        *(f"POST /{name}/{problem}" for name in ("predict", "labels") for problem in PROBLEMS),
        *(f"POST /v2/models/{problem}/infer" for problem in PROBLEMS),
        "GET /ping",
        "GET /metrics",
    }
    for problem in PROBLEMS:
        label = f"POST /predict/{problem}"
        assert held.answers[label, "positive", 200] == COUNT
        assert held.answers[label, "negative", 200] == 0
