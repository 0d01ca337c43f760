"""Callers who ask the served model while something happens to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pyarrow as pa

from core.problems.contract import Contract, FieldType

Record = Mapping[str, object]
TIMEOUT_S = 10.0
#: How an answer is noted that never came.
NO_ANSWER = 0


@dataclass(frozen=True)
class Answered:
    """What came back for one request."""

    status: int
    request_id: str = ""
    version: int = 0

    @property
    def is_good(self) -> bool:
        """Whether it holds a prediction."""
        return self.status == httpx.codes.OK


def records_of(rows: pa.Table, contract: Contract) -> list[Record]:
    """Rows of a batch as a caller would write them: a number of an integer field is whole."""
    whole = {field.name for field in contract.fields if field.type is FieldType.INTEGER}
    return [
        {
            name: int(value) if name in whole and value is not None else value
            for name, value in row.items()
        }
        for row in rows.select(contract.names).to_pylist()
    ]


@contextmanager
def traffic(
    url: str, problem: str, records: Sequence[Record], per_second: float
) -> Iterator[list[Answered]]:
    """Asks about one record after the other, so many a second, until it is left.

    Yields:
        What has come back so far; it grows meanwhile.
    """
    answers: list[Answered] = []
    stop = threading.Event()

    def ask() -> None:
        due = time.monotonic()
        with httpx.Client(base_url=url, trust_env=False, timeout=TIMEOUT_S) as client:
            while not stop.wait(max(0.0, due - time.monotonic())):
                record = records[len(answers) % len(records)]
                answers.append(_asked(client, problem, record))
                # Who was answered late does not ask faster afterwards.
                due = max(due + 1 / per_second, time.monotonic())

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    try:
        yield answers
    finally:
        stop.set()
        asking.join(TIMEOUT_S)


def _asked(client: httpx.Client, problem: str, record: Record) -> Answered:
    try:
        response = client.post(f"/predict/{problem}", json={"records": [record]})
    except httpx.HTTPError:
        return Answered(NO_ANSWER)
    if not response.is_success:
        return Answered(response.status_code)
    told = response.json()
    return Answered(response.status_code, told["request_id"], told["model_version"])


def asked_of(answers: Sequence[Answered], version: int) -> tuple[Answered, ...]:
    """The good answers of one version."""
    return tuple(one for one in answers if one.is_good and one.version == version)
