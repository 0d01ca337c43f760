"""One loaded version and how it answers; no Ray inside."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from core.deployment.endpoint import EndpointConfig
from core.deployment.request_ids import new_request_id
from core.errors import InvalidInputError, Offence
from core.problems import load_problem
from core.problems.contract import Columns, Contract, Problem
from core.scoring.bundle import Bundle, BundleFacts, BundleRef, require_contract
from core.scoring.scorer import Scorer
from serve.labels import LabelDecoder
from serve.recorder import Answered, Record
from serve.schemas import NumberError, PredictAnswer, Prediction, RecordDecoder
from serve.validation import explain, explain_records

#: What a request's work makes: an answer.
Made = TypeVar("Made")


class UnscorableError(InvalidInputError):
    """The record obeys the contract, and this model has no number for it; another may."""


class Scored(NamedTuple):
    """What one request comes to, whatever its protocol; predictions in the order of records."""

    request_id: str
    predictions: list[Prediction]


@dataclass(frozen=True)
class LoadedModel:
    """A version in memory. Immutable, so requests may share it between threads."""

    ref: BundleRef
    facts: BundleFacts
    #: SHA-256 of the page of facts, in hex, and so of the whole bundle.
    bundle_sha256: str
    problem: Problem
    max_records: int
    max_body_bytes: int
    decoder: RecordDecoder
    labels: LabelDecoder
    scorer: Scorer

    def answers(self, work: Callable[[LoadedModel, Record], Made]) -> Callable[[Record], Made]:
        """What answers a request by this model alone, given the inference log."""
        return partial(work, self)

    def answer(self, body: bytes, record: Record | None = None) -> bytes:
        """Answers the body of ``POST /predict/{problem}``: JSON in, JSON out.

        ``record`` takes what was answered into the inference log.

        Raises:
            InvalidInputError: the body breaks a rule; every offence is named.
        """
        try:
            columns = self.decoder.columns(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, NumberError) as exc:
            raise explain(body, self.problem.contract, self.max_records, str(exc)) from exc
        scored = self.score(columns, record)
        answer = PredictAnswer(scored.request_id, self.ref.version, scored.predictions)
        return msgspec.json.encode(answer)

    def answer_records(self, records: Sequence[object], record: Record | None = None) -> Scored:
        """Scores records that another protocol's request has come to, by the same rules.

        Raises:
            InvalidInputError: they break a rule; every offence is named.
        """
        try:
            columns = self.decoder.columns_of(records)
        except (msgspec.MsgspecError, NumberError) as exc:
            contract = self.problem.contract
            raise explain_records(records, contract, self.max_records, str(exc)) from exc
        return self.score(columns, record)

    def score(self, columns: Columns, record: Record | None = None) -> Scored:
        """Scores columns of valid records; ``record`` takes the answer into the log.

        Raises:
            UnscorableError: the model finds no number for a record.
        """
        probabilities = self.probabilities(columns)
        label, threshold = self.problem.contract.label, self.facts.threshold
        predictions = [
            Prediction(label.positive if value >= threshold else label.negative, value)
            for value in probabilities.tolist()
        ]
        at_us = time.time_ns() // 1000
        request_id = new_request_id(at_us)
        if record is not None:
            name, version = self.problem.name, self.ref.version
            record(Answered(name, request_id, at_us, version, columns, probabilities))
        return Scored(request_id, predictions)

    def probabilities(self, columns: Columns) -> npt.NDArray[np.float64]:
        """Probability of the positive class, shape (rows,), and nothing besides.

        Raises:
            UnscorableError: the model finds no number for a record.
        """
        # Extreme but valid numbers overflow on the way to float32, as they do in Spark.
        with np.errstate(all="ignore"):
            probabilities = self.scorer.probabilities(columns)
        if not np.isfinite(probabilities).all():
            raise _unscorable(np.flatnonzero(~np.isfinite(probabilities)).tolist())
        return probabilities

    def describe(self) -> dict[str, Any]:
        """What ``GET /problems/{problem}`` tells, ready for JSON."""
        facts = self.facts
        return {
            "problem": self.problem.name,
            "title": self.problem.title,
            "version": self.ref.version,
            "run_id": facts.run_id,
            "data_version": facts.data_version,
            "git_commit": facts.git_commit,
            "family": facts.family,
            "threshold": facts.threshold,
            "metrics": dict(facts.metrics),
            "signature": signature(self.problem.contract),
            "contract_fingerprint": facts.contract_fingerprint,
            "model_sha256": facts.model_sha256,
            "bundle_sha256": self.bundle_sha256,
        }


def warm_up(ref: BundleRef, bundle: Bundle, config: EndpointConfig) -> LoadedModel:
    """Checks a version that was fetched and lets it score the contract's example.

    Raises:
        PilothouseError: there is no such problem, or the bundle does not fit this code.
    """
    problem = load_problem(ref.problem, config.packages)
    require_contract(bundle.facts, ref, problem)
    loaded = LoadedModel(
        ref=ref,
        facts=bundle.facts,
        bundle_sha256=bundle.sha256,
        problem=problem,
        max_records=config.max_records,
        max_body_bytes=config.max_body_bytes,
        decoder=RecordDecoder(problem.contract, config.max_records),
        labels=LabelDecoder(problem.contract, config.max_records),
        scorer=Scorer(problem, bundle.model),
    )
    # Finds a broken model before it takes over, and spares the first caller the slow start.
    loaded.answer(msgspec.json.encode({"records": [example_record(problem.contract)]}))
    return loaded


def example_record(contract: Contract) -> dict[str, int | float | str]:
    """A record that obeys the contract: the example of each field."""
    return {field.name: field.example for field in contract.fields}


def signature(contract: Contract) -> dict[str, Any]:
    """Inputs and label of a problem, ready for JSON."""
    inputs = [
        {
            "name": field.name,
            "type": field.type.value,
            "description": field.description,
            "unit": field.unit,
            "nullable": field.nullable,
            "minimum": field.minimum,
            "maximum": field.maximum,
            "usual": field.usual,
            "categories": field.categories,
            "example": field.example,
        }
        for field in contract.fields
    ]
    label: Mapping[str, Any] = {
        "name": contract.label.name,
        "positive": contract.label.positive,
        "negative": contract.label.negative,
        "positive_meaning": contract.label.positive_meaning,
        "negative_meaning": contract.label.negative_meaning,
    }
    reduced = [
        {
            "name": source.name,
            "description": source.description,
            "into": source.into,
            "example": source.example,
        }
        for source in contract.reduced
    ]
    return {
        "inputs": inputs,
        "reduced": reduced,
        "ignored": contract.identifiers,
        "label": label,
    }


def _unscorable(rows: list[int]) -> UnscorableError:
    named = [Offence("", "gets no finite probability from the model", row) for row in rows[:100]]
    return UnscorableError(f"The model cannot score {len(rows):,} of the records.", offences=named)
