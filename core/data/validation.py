"""Checks rows against a contract: hard rules refuse, soft rules count.

Built on pandera; what is ours is the translation of a contract into a schema and
of failures into offences that name row, column, value and rule.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pandera.pandas as pandera
import pyarrow as pa

from core.data.tables import ROW_ID
from core.domain import SoftFinding
from core.errors import DataContractError, Offence
from core.problems.contract import Contract, Field, FieldType, Label

MAX_OFFENCES = 100


@dataclass(frozen=True)
class Validated:
    """Rows that keep every hard rule, typed as the contract says.

    ``table`` holds ``row_id``, the inputs (float64 or string, null for missing) and
    ``label`` as 0.0 or 1.0 where the label was given.
    """

    table: pa.Table
    findings: tuple[SoftFinding, ...]


def validate(table: pa.Table, contract: Contract) -> Validated:
    """Returns the rows typed, with what the soft rules found.

    Raises:
        DataContractError: a hard rule is broken; carries the first 100 offences and
            says how many there are.
    """
    frame = table.to_pandas()
    offences: list[Offence] = []
    typed: dict[str, pd.Series] = {}
    for field in contract.fields:
        typed[field.name] = _typed(frame[field.name], field, offences)
    data = pd.DataFrame(typed)
    offences += _broken_rules(data, contract)
    label = _label(frame[contract.label.name], contract.label, offences)
    if offences:
        raise _refusal(offences)
    columns: dict[str, pa.Array] = {ROW_ID: pa.array(frame[ROW_ID], pa.int64())}
    for field in contract.fields:
        kind = pa.float64() if field.type.is_numeric else pa.string()
        columns[field.name] = pa.Array.from_pandas(data[field.name], type=kind)
    columns["label"] = pa.array(label, pa.float64())
    return Validated(pa.table(columns), _soft_findings(data, contract))


def _refusal(offences: list[Offence]) -> DataContractError:
    ordered = sorted(offences, key=lambda o: (-1 if o.row is None else o.row, o.field))
    first = ordered[0]
    where = "" if first.row is None else f" in row {first.row}"
    return DataContractError(
        f"{len(ordered)} values break the contract, the first {first.field}{where}: "
        f"{first.problem}.",
        fix="Correct the file and give it again; nothing was stored.",
        offences=ordered[:MAX_OFFENCES],
    )


def _typed(values: pd.Series, field: Field, offences: list[Offence]) -> pd.Series:
    """Numbers as float64, categories as text; what cannot be read is an offence."""
    if not field.type.is_numeric:
        known = values.astype(object).where(values.notna(), None)
        return pd.Series(field.spell(known), index=values.index, dtype=object)
    numbers = pd.to_numeric(values, errors="coerce").astype("float64")
    unreadable = numbers.isna() & values.notna()
    offences.extend(
        Offence(field.name, f"{values.iloc[row]!r} is not a number", int(row))
        for row in np.flatnonzero(unreadable)
    )
    # Such a cell has its offence; a stand-in keeps it from being called missing as well.
    return numbers.mask(unreadable, _harmless(field))


def _harmless(field: Field) -> float:
    return float(field.minimum if field.minimum is not None else field.maximum or 0.0)


def _broken_rules(data: pd.DataFrame, contract: Contract) -> list[Offence]:
    schema = pandera.DataFrameSchema({f.name: _column(f) for f in contract.fields})
    try:
        schema.validate(data, lazy=True)
    except pandera.errors.SchemaErrors as exc:
        return [
            Offence(str(case.column), _say(case.check, case.failure_case), int(case.index))
            for case in exc.failure_cases.itertuples()
        ]
    return []


def _column(field: Field) -> pandera.Column:
    checks: list[pandera.Check] = []
    if field.type.is_numeric:
        checks.append(pandera.Check(np.isfinite, error="finite"))
        if field.minimum is not None:
            checks.append(pandera.Check.ge(field.minimum, error=f"at least {field.minimum:g}"))
        if field.maximum is not None:
            checks.append(pandera.Check.le(field.maximum, error=f"at most {field.maximum:g}"))
    if field.type is FieldType.INTEGER:
        checks.append(pandera.Check(lambda s: s == np.floor(s), error="a whole number"))
    return pandera.Column(None, checks, nullable=field.nullable)


def _say(check: str, value: object) -> str:
    if check == "not_nullable":
        return "a value is required"
    return f"{value} is not {check}"


def _label(values: pd.Series, label: Label, offences: list[Offence]) -> pd.Series:
    """1.0 for the positive class, 0.0 for the negative, missing where none is given."""
    text = values.map(lambda v: None if pd.isna(v) else str(v))
    out = text.map(label.read).astype("float64")
    for row in np.flatnonzero(out.isna()):
        shown = (
            "a label is required" if pd.isna(text.iloc[row]) else f"{text.iloc[row]!r} is no label"
        )
        offences.append(Offence(label.name, shown, int(row)))
    return out


def _soft_findings(data: pd.DataFrame, contract: Contract) -> tuple[SoftFinding, ...]:
    found: list[SoftFinding] = []
    for field in contract.fields:
        values = data[field.name].dropna()
        if field.usual is not None:
            low, high = field.usual
            count = int(((values < low) | (values > high)).sum())
            rule = f"outside the usual range {low:g} to {high:g}"
        elif field.categories:
            count = int((~values.isin(field.categories)).sum())
            rule = "unknown category"
        else:
            continue
        if count:
            found.append(SoftFinding(field.name, rule, count))
    return tuple(found)
