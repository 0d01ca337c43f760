"""Holds an endpoint to its own OpenAPI document, by schemathesis."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi import checks

from tests.unit.hostile_requests import SAME_EACH_TIME

#: Answers have a documented status, media type and shape.
_CONFORM = (
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
)
#: Where the document says all there is to say, what it allows is taken.
_SAY_ALL = ("/predict/", "/labels/")
TIMEOUT_S = 30.0


@dataclass
class Held:
    """What was asked, by operation, mode and status, and what was not as documented."""

    answers: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def hold(schema: BaseSchema, count: int) -> Held:
    """Sends up to ``count`` requests a mode to every operation: the same ones each time.

    Half of the modes obeys the document, the other breaks it; what takes no parameters and no
    body is asked once.
    """
    held = Held()
    for found in schema.get_all_operations():
        operation = found.ok()
        takes = bool(operation.body or operation.path_parameters)
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            if takes and (operation.body or mode is GenerationMode.POSITIVE):
                _hold(held, operation, mode, count)
            elif mode is GenerationMode.POSITIVE:
                _hold(held, operation, mode, 1)
    return held


def _hold(held: Held, operation: Any, mode: GenerationMode, count: int) -> None:
    rules = [*_CONFORM]
    if operation.method == "post":
        rules.append(checks.negative_data_rejection)
        if operation.path.startswith(_SAY_ALL):
            rules.append(checks.positive_data_acceptance)

    @settings(SAME_EACH_TIME, max_examples=count)
    @given(operation.as_strategy(generation_mode=mode))
    def each(case: Case) -> None:
        response = case.call(timeout=TIMEOUT_S)
        held.answers[operation.label, mode.value, response.status_code] += 1
        try:
            case.validate_response(response, checks=rules)
        except FailureGroup as group:
            what = f"{operation.label} ({mode.value}) {response.status_code} to {case.body!r:.300}"
            held.faults += [f"{what}: {failure!s:.500}" for failure in group.exceptions]

    each()
