"""Checks rows against a contract: hard rules refuse, soft rules count.

Built on pandera; what is ours is the translation of a contract into a schema and
of failures into offences that name row, column, value and rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd
import pandera.pandas as pandera
import pyarrow as pa

from core.data.batch_files import AT, LABEL
from core.data.tables import ROW_ID
from core.domain import SoftFinding
from core.errors import DataContractError, Offence
from core.problems.contract import MAX_TEXT, Contract, Field, FieldType, Label

MAX_OFFENCES = 100
#: Characters of a value that an offence shows.
_SHOWN = 60
_DATE = r"\d{4}-?\d{2}-?\d{2}"
#: Times that nanoseconds can count, as the statistics of a check do.
_FIRST_YEAR, _LAST_YEAR = 1678, 2261
_MOMENT = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class Validated:
    """Rows that keep every hard rule, typed as the contract says.

    ``table`` holds ``row_id``, the inputs (float64 or string, null for missing), ``label``
    as 0.0 or 1.0 where the label was given and, where the contract names a timestamp, ``at``
    in UTC.
    """

    table: pa.Table
    findings: tuple[SoftFinding, ...]


@dataclass(frozen=True)
class Checked:
    """Rows as they were found, with the first offences by row and how many there are."""

    validated: Validated
    offences: tuple[Offence, ...]
    broken: int


class _Offences:
    """Collects the first offences of each rule and counts all of them."""

    def __init__(self, row_ids: npt.NDArray[np.int64]) -> None:
        self._row_ids = row_ids
        self.first: list[Offence] = []
        self.count = 0

    def add(self, column: str, rows: npt.NDArray[np.int64], say: Callable[[int], str]) -> None:
        """Adds rows, by their position, that break one rule; ``say`` tells how one does."""
        self.count += rows.size
        self.first += [
            Offence(column, say(int(row)), int(self._row_ids[row])) for row in rows[:MAX_OFFENCES]
        ]


def validate(table: pa.Table, contract: Contract) -> Validated:
    """Returns labelled rows typed, with what the soft rules found.

    Raises:
        DataContractError: a hard rule is broken; carries the first 100 offences and
            says how many there are.
    """
    checked = check(table, contract)
    if checked.broken:
        raise refusal(checked.offences, checked.broken)
    return checked.validated


def check(table: pa.Table, contract: Contract, *, needs_label: bool = True) -> Checked:
    """Holds rows against every rule; ``row_id`` is what offences call them.

    Args:
        table: the columns of the contract and ``row_id``, as text or typed.
        contract: the rules.
        needs_label: whether a row without a label breaks a rule; where none does, the
            column itself may be absent.
    """
    frame = table.to_pandas()
    found = _Offences(frame[ROW_ID].to_numpy(np.int64))
    typed: dict[str, pd.Series] = {}
    for one in contract.fields:
        typed[one.name] = _typed(frame[one.name], one, found)
    data = pd.DataFrame(typed)
    _find_broken_rules(data, contract, found)
    columns: dict[str, pa.Array] = {ROW_ID: pa.array(frame[ROW_ID], pa.int64())}
    for one in contract.fields:
        kind = pa.float64() if one.type.is_numeric else pa.string()
        columns[one.name] = pa.Array.from_pandas(data[one.name], type=kind)
    columns[LABEL] = _label(frame, contract.label, found, needs_label=needs_label)
    if contract.timestamp:
        columns[AT] = _moments(frame[contract.timestamp], contract.timestamp, found)
    validated = Validated(pa.table(columns), _soft_findings(data, contract))
    return Checked(validated, first_of(found.first), found.count)


def first_of(offences: list[Offence]) -> tuple[Offence, ...]:
    """The first offences by row, of the whole first, then by column."""
    ordered = sorted(offences, key=lambda o: (-1 if o.row is None else o.row, o.field))
    return tuple(ordered[:MAX_OFFENCES])


def refusal(offences: tuple[Offence, ...], broken: int) -> DataContractError:
    """The refusal of rows that break a hard rule ``broken`` times, with the first offences."""
    first = offences[0]
    where = "" if first.row is None else f" in row {first.row}"
    what = "1 value breaks" if broken == 1 else f"{broken:,} values break"
    return DataContractError(
        f"{what} the contract, the first {first.field}{where}: {first.problem}.",
        fix="Correct the file and give it again; nothing was stored.",
        offences=offences,
    )


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _typed(values: pd.Series, one: Field, found: _Offences) -> pd.Series:
    """Numbers as float64, categories as text; what cannot be read is an offence."""
    if not one.type.is_numeric:
        return _texts(values, one, found)
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        # Times could be counted, but nobody means that.
        values = values.astype("str").where(values.notna())
    numbers = pd.to_numeric(values, errors="coerce").astype("float64")
    unreadable = numbers.isna() & values.notna()
    found.add(
        one.name,
        np.flatnonzero(unreadable),
        lambda row: f"{_shown(values.iloc[row])} is not a number",
    )
    # Such a cell has its offence; a stand-in keeps it from being called missing as well.
    return numbers.mask(unreadable, _harmless(one))


def _texts(values: pd.Series, one: Field, found: _Offences) -> pd.Series:
    """Categories as the contract spells them; a few values of many rows, so each is read once."""
    codes, distinct = pd.factorize(values)
    spelled = np.array([*one.spell(distinct), None], dtype=object)
    lengths = np.array([*map(len, spelled[:-1]), 0])[codes]
    found.add(
        one.name,
        np.flatnonzero(lengths > MAX_TEXT),
        lambda row: f"{lengths[row]} characters are more than {MAX_TEXT}",
    )
    # The code of a missing value is -1, the last one.
    return pd.Series(spelled[codes], index=values.index, dtype=object)


def _harmless(one: Field) -> float:
    return float(one.minimum if one.minimum is not None else one.maximum or 0.0)


def _find_broken_rules(data: pd.DataFrame, contract: Contract, found: _Offences) -> None:
    schema = pandera.DataFrameSchema({f.name: _column(f) for f in contract.fields})
    try:
        schema.validate(data, lazy=True)
    except pandera.errors.SchemaErrors as exc:
        for (column, rule), cases in exc.failure_cases.groupby(["column", "check"], sort=False):
            ordered = cases.sort_values("index")
            values = dict(zip(ordered["index"], ordered["failure_case"], strict=True))
            rows = ordered["index"].to_numpy(np.int64)
            found.add(str(column), rows, partial(_say, str(rule), values))


def _column(one: Field) -> pandera.Column:
    checks: list[pandera.Check] = []
    if one.type.is_numeric:
        checks.append(pandera.Check(np.isfinite, error="finite"))
        if one.minimum is not None:
            checks.append(pandera.Check.ge(one.minimum, error=f"at least {one.minimum:g}"))
        if one.maximum is not None:
            checks.append(pandera.Check.le(one.maximum, error=f"at most {one.maximum:g}"))
    if one.type is FieldType.INTEGER:
        checks.append(pandera.Check(lambda s: s == np.floor(s), error="a whole number"))
    return pandera.Column(None, checks, nullable=one.nullable)


def _say(rule: str, values: Mapping[int, object], row: int) -> str:
    if rule == "not_nullable":
        return "a value is required"
    return f"{values[row]} is not {rule}"


def _label(frame: pd.DataFrame, label: Label, found: _Offences, *, needs_label: bool) -> pa.Array:
    """1.0 for the positive class, 0.0 for the negative, missing where none is given."""
    if label.name not in frame.columns and not needs_label:
        return pa.nulls(len(frame), pa.float64())
    given = frame[label.name]
    missing = given.isna()
    classes = _classes(given, label)
    wrong = classes.isna() & (True if needs_label else ~missing)

    def say(row: int) -> str:
        if missing.iloc[row]:
            return "a label is required"
        return f"{_shown(str(given.iloc[row]))} is no label"

    found.add(label.name, np.flatnonzero(wrong), say)
    return pa.Array.from_pandas(classes, type=pa.float64())


def _classes(given: pd.Series, label: Label) -> pd.Series:
    """0.0 and 1.0 for the two values of a label, missing for everything else."""
    codes, distinct = pd.factorize(given)
    read = np.array([*map(label.read, distinct), None], dtype=np.float64)
    return pd.Series(read[codes], index=given.index)


def _moments(given: pd.Series, name: str, found: _Offences) -> pa.Array:
    """Times in microseconds, UTC; one without a zone is taken to be UTC."""
    if pd.api.types.is_datetime64_any_dtype(given.dtype):
        moments = pd.to_datetime(given, utc=True, errors="coerce")
    else:
        texts = given.astype("str")
        dates = texts.where(texts.str.match(_DATE).fillna(False).astype(bool))
        moments = pd.to_datetime(dates, utc=True, errors="coerce", format="ISO8601")
    moments = moments.where(moments.dt.year.between(_FIRST_YEAR, _LAST_YEAR))
    missing = given.isna()

    def say(row: int) -> str:
        if missing.iloc[row]:
            return "a time is required"
        return f"{_shown(str(given.iloc[row]))} is not a date and time (ISO 8601)"

    found.add(name, np.flatnonzero(moments.isna()), say)
    # Without a zone: pyarrow's way with zoned columns is deprecated in pandas.
    plain = moments.dt.tz_convert(None).dt.as_unit("us").to_numpy()
    return pa.array(plain, pa.timestamp("us"), from_pandas=True).cast(_MOMENT)


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
