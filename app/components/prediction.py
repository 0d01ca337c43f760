"""One prediction by hand: a form made from the contract, and the answer."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING

import streamlit as st

from app import charts
from app.components import navigation, words
from app.components.addresses import serving_address
from app.components.failures import Failure, attempt, show_failure
from core.domain_serving import PredictionAnswer, ServedVersion
from core.problems.contract import Contract, Field, FieldType, ReducedInput, Value

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse
    from core.problems.contract import Problem

_PER_ROW = 2
#: In double quotes, so that the shell puts the key in.
_KEY_HEADER = '  -H "authorization: Bearer $PILOTHOUSE_KEY" \\\n'

Record = Mapping[str, Value | None]


def show_prediction(core: Pilothouse, problem: Problem, served: ServedVersion | None) -> None:
    """Draws the form and, once it is sent, the answer; ``served`` is what should answer."""
    record = _form(problem)
    if record is not None:
        with st.spinner("Asking the model…"):
            answer = attempt(lambda: core.serving.predict(problem.name, record))
        if isinstance(answer, Failure):
            show_failure(answer)
        else:
            # During a rollout another version may answer, by a threshold of its own.
            known = served is not None and served.version == answer.model_version
            _show_answer(answer, problem.contract, served.threshold if served and known else None)
            for remark in unusual(problem.contract, record):
                st.info(remark, icon=":material/lightbulb:")
    shown = record if record is not None else examples(problem.contract)
    with st.expander("The same request on the command line", icon=":material/terminal:"):
        command = curl_command(
            serving_address(core.settings),
            problem.name,
            shown,
            needs_key=core.settings.keys_required,
        )
        st.code(command, language="bash", wrap_lines=True)


def examples(contract: Contract) -> Record:
    """The contract's own example record."""
    return {field.name: field.example for field in contract.fields}


def curl_command(serving_url: str, problem: str, record: Record, *, needs_key: bool) -> str:
    """The request as a shell command that can be pasted; the key is the caller's own."""
    body = shlex.quote(json.dumps({"records": [record]}, ensure_ascii=False))
    return (
        f"curl -s {serving_url}/predict/{problem} \\\n"
        f"  -H 'content-type: application/json' \\\n"
        f"{_KEY_HEADER if needs_key else ''}"
        f"  -d {body}"
    )


def hint(field: Field) -> str:
    """What may be entered: description, bounds, usual range, and whether it may be left out."""
    parts = [field.description + "."]
    low, high = field.minimum, field.maximum
    unit = f" {field.unit}" if field.unit else ""
    if low is not None and high is not None:
        parts.append(f"Must lie between {low:g} and {high:,g}{unit}.")
    elif low is not None:
        parts.append(f"Must be at least {low:g}{unit}.")
    elif high is not None:
        parts.append(f"Must be at most {high:,g}{unit}.")
    if field.usual is not None:
        parts.append(f"Usually {field.usual[0]:g} to {field.usual[1]:g}{unit}.")
    if field.type is FieldType.CATEGORY:
        parts.append("Any other text is accepted and treated as an unknown category.")
    parts.append("Leave it empty if unknown." if field.nullable else "Required.")
    return " ".join(parts)


def text_hint(source: ReducedInput) -> str:
    """What may be entered as a text that is reduced, and what becomes of it."""
    return (
        f"{source.description}. Only {source.into} is kept of it, "
        f"and it is not read where {source.into} is given."
    )


def unusual(contract: Contract, record: Record) -> tuple[str, ...]:
    """Says which values the model has hardly seen, or not read; all are accepted the same."""
    remarks = []
    for field in contract.fields:
        value = record.get(field.name)
        if isinstance(value, int | float) and field.usual is not None:
            low, high = field.usual
            if not low <= value <= high:
                remarks.append(
                    f"{field.name} = {value:g} is outside the usual range of {low:g} to {high:g}: "
                    "accepted, but the model has seen little like it."
                )
        elif isinstance(value, str) and field.categories and value not in field.categories:
            remarks.append(
                f"{field.name} = “{value}” is not a known category: scored as an unknown one."
            )
    remarks += [
        f"{source.name} was not read, because {source.into} is given."
        for source in contract.reduced
        if record.get(source.name) and record.get(source.into)
    ]
    return tuple(remarks)


def label_meaning(contract: Contract, label: int | str) -> str:
    """A predicted label in words."""
    positive = str(label) == str(contract.label.positive)
    return contract.label.positive_meaning if positive else contract.label.negative_meaning


def _form(problem: Problem) -> Record | None:
    with st.form(f"predict-{problem.name}", enter_to_submit=False):
        record: dict[str, Value | None] = {}
        fields = problem.contract.fields
        # Row by row, so that a narrow window keeps the contract's order.
        for start in range(0, len(fields), _PER_ROW):
            row = fields[start : start + _PER_ROW]
            for column, field in zip(st.columns(_PER_ROW), row, strict=False):
                with column:
                    record[field.name] = _input(problem.name, field)
        record |= _texts(problem)
        sent = st.form_submit_button("Predict", type="primary", icon=":material/bolt:")
    return record if sent else None


def _texts(problem: Problem) -> dict[str, Value | None]:
    """What was entered in the fields for texts; those left empty are not in it."""
    sources = problem.contract.reduced
    entered: dict[str, Value | None] = {}
    for start in range(0, len(sources), _PER_ROW):
        row = sources[start : start + _PER_ROW]
        for column, source in zip(st.columns(_PER_ROW), row, strict=False):
            with column:
                text = st.text_input(
                    source.name,
                    key=f"{problem.name}.{source.name}",
                    placeholder=f"such as {source.example}",
                    help=text_hint(source),
                )
            if text:
                entered[source.name] = text
    return entered


def _input(problem: str, field: Field) -> Value | None:
    # Bounds are not given to the widget: it would silently keep the last good value,
    # whereas the service names the offence.
    label = f"{field.name} ({field.unit})" if field.unit else field.name
    key = f"{problem}.{field.name}"
    # An example set by key, not as the default, lets the operator empty the field.
    st.session_state.setdefault(key, field.example)
    placeholder = "unknown" if field.nullable else "required"
    if field.type is FieldType.CATEGORY:
        return st.selectbox(
            label,
            field.categories,
            index=None,
            key=key,
            accept_new_options=True,
            placeholder=placeholder,
            help=hint(field),
            required=not field.nullable,
        )
    whole = field.type is FieldType.INTEGER
    return st.number_input(
        label,
        value=None,
        step=1 if whole else 1.0,
        format="%d" if whole else "%g",
        key=key,
        placeholder=placeholder,
        help=hint(field),
        required=not field.nullable,
    )


def _show_answer(answer: PredictionAnswer, contract: Contract, threshold: float | None) -> None:
    with st.container(border=True):
        st.markdown(f"### {label_meaning(contract, answer.label).capitalize()}")
        st.markdown(
            f"Probability of “{contract.label.positive_meaning}”: "
            f"**{words.number(answer.probability)}**"
            + ("" if threshold is None else f" (decision threshold {words.number(threshold)})")
        )
        drawing = charts.probability_chart(answer.probability, threshold)
        st.altair_chart(drawing, width="stretch", alt="Probability on a bar from 0 to 1")
        st.caption(
            f"{contract.label.name} = {answer.label} · model version v{answer.model_version} · "
            f"answered in {answer.latency_ms:.1f} ms · request `{answer.request_id}`"
        )
        navigation.link_to_trace("Trace this answer", request_id=answer.request_id)
