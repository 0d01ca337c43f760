"""Some hundreds of hostile requests to an endpoint in this process.

``tests/integration/test_fuzz.py`` sends ten thousand to a real one.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from serve import http
from tests.unit.hostile_answers import faults_of
from tests.unit.hostile_requests import ROUTES, Request, run
from tests.unit.protocols import Endpoint, endpoint

COUNT = 600


@pytest.fixture(scope="module")
def end(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with endpoint(tmp_path_factory.mktemp("fuzz"), keep_log=True) as serving:
        yield serving


def test_hostile_requests_are_refused_in_shape_or_answered_correctly(end: Endpoint) -> None:
    seen: Counter[tuple[str, int]] = Counter()
    faults: list[str] = []

    def ask(request: Request) -> None:
        response = end.call("POST", request.path, **request.given)
        seen[request.route, response.status_code] += 1
        fault = faults_of(request, response)
        if fault:
            faults.append(f"{request.route} ({request.change}) {fault}: {request.content[:300]!r}")

    run(COUNT, "in this process", ask)
    assert not faults, f"{len(faults)} faults\n" + "\n".join(faults[:10])
    # The requests are as varied as they are meant to be.
    assert sum(seen.values()) >= COUNT
    assert {route for route, status in seen if status == 200} == set(ROUTES)
    assert {route for route, status in seen if 400 <= status < 500} == set(ROUTES)


def test_a_body_that_does_not_come_to_its_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_BODY_TIMEOUT_S", 0.01)
    pieces = iter([b"{", b'"'])

    async def receive() -> dict[str, Any]:
        for piece in pieces:
            return {"type": "http.request", "body": piece, "more_body": True}
        await asyncio.Event().wait()
        return {}

    with pytest.raises(http.HttpError) as refused:
        asyncio.run(http.read_body({"headers": []}, receive, 100))
    assert (refused.value.failure.status, refused.value.failure.code) == (408, "too_slow")
