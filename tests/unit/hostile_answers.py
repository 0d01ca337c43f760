"""What is wrong with an answer to a request of ``tests.unit.hostile_requests``, if anything."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import httpx
import numpy as np

from core.problems.contract import Problem
from core.scoring.scorer import Scorer
from tests.unit.hostile_requests import Request
from tests.unit.protocols import PROBLEMS, Record, model_of, read_infer

#: No refusal is longer, whatever was sent.
LONGEST_REFUSAL = 32_000
_CODES = {
    404: "not_found",
    408: "too_slow",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid_input",
}


def faults_of(request: Request, response: httpx.Response) -> str:
    """What is wrong with an answer; nothing if it is a refusal in its shape, or correct."""
    if response.headers.get("x-content-type-options") != "nosniff":
        return "has no header of ours"
    if response.status_code == 200:
        return _wrong_answer(request, response)
    if request.records is not None:
        return f"refuses a valid request: {response.text[:300]}"
    if len(response.content) > LONGEST_REFUSAL:
        return f"refuses in {len(response.content)} bytes"
    if response.headers["content-type"] != "application/json":
        return f"refuses in {response.headers['content-type']}"
    return _wrong_refusal(request, response)


def _wrong_refusal(request: Request, response: httpx.Response) -> str:
    status, document = response.status_code, json.loads(response.content)
    if request.path.startswith(("/predict", "/labels")):
        if status not in _CODES or set(document) != {"error"}:
            return f"is no refusal of ours: {status} {document}"
        error = document["error"]
        shaped = set(error) == {"code", "message", "details"} and all(
            set(detail) == {"field", "problem"} for detail in error["details"]
        )
        explained = status != 422 or error["details"] or "cannot score" in error["message"]
        if not shaped or error["code"] != _CODES[status] or not explained:
            return f"is no refusal of ours: {status} {document}"
        return ""
    if status not in (400, 404, 413, 415):
        return f"has a status that the protocol has not: {status}"
    texts = {"error"} if request.path.startswith("/v2") else {"error_code", "message"}
    if set(document) != texts or not all(isinstance(text, str) for text in document.values()):
        return f"is no refusal of the protocol: {document}"
    return ""


def _wrong_answer(request: Request, response: httpx.Response) -> str:
    if request.route == "labels":
        taken, given_ = response.json()["taken"], json.loads(request.content)["labels"]
        return "" if taken == len(given_) else f"has taken {taken} of {len(given_)} labels"
    told = predictions_of(request, response)
    records = request.records
    if records is None and request.route == "predict":
        records = json.loads(request.content)["records"]
    if records is not None and told != expected(PROBLEMS[request.problem], records):
        return f"is wrong: {response.text[:300]}"
    return "" if told else "says nothing"


def predictions_of(request: Request, response: httpx.Response) -> list[tuple[Any, Any]]:
    """(label, probability) of every record; ``None`` for what was not asked for."""
    if request.path.startswith("/v2"):
        out = read_infer(response)
        rows = len(next(iter(out.values())))
        columns = [out.get(name, [None] * rows) for name in ("label", "probability")]
        return list(zip(*columns, strict=True))
    return [(one["label"], one["probability"]) for one in response.json()["predictions"]]


_SCORERS = {}


def expected(problem: Problem, records: Sequence[Record]) -> list[tuple[Any, float]]:
    """(label, probability) by the scorer alone, from columns that are made here by hand."""
    if problem.name not in _SCORERS:
        _SCORERS[problem.name] = Scorer(problem, model_of(problem))
    contract, columns = problem.contract, {}
    texts = {source.into: source for source in contract.reduced}
    for of in contract.fields:
        values = [record.get(of.name) for record in records]
        if of.name in texts:
            source = texts[of.name]
            said = [record.get(source.name) for record in records]
            values = contract.fill_reduced(source, values, said)
        if of.type.is_numeric:
            columns[of.name] = np.array(values, dtype=np.float64)
        else:
            columns[of.name] = np.array(of.spell(values), dtype=object)
    with np.errstate(all="ignore"):
        scores = _SCORERS[problem.name].probabilities(columns).tolist()
    label = contract.label
    return [(label.positive if score >= 0.5 else label.negative, score) for score in scores]
