"""Generated records that obey a contract: what a model must answer, not what is likely.

They hold what a data set seldom does: bounds, values a hair inside them, missing
values in every nullable field and categories no model has seen.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from core.problems.contract import Columns, Field, FieldType, Problem

#: Spellings that trip careless code: quotes, escapes, other scripts, words for nothing.
UNSEEN = ("zz?", "NULL", "nan", "None", "0", 'O\'Brien \\ "x"', "${x}", "Ärger ☃", "𝒵", "a,b\tc")

MISSING_SHARE = 0.15
UNUSUAL_SHARE = 0.1
EDGE_SHARE = 0.1


def generate_records(problem: Problem, rows: int, seed: int) -> Columns:
    """Returns ``rows`` contract-valid records; the same seed gives the same records.

    Numbers lie mostly in their usual range, some anywhere within the hard bounds and
    some on an edge of either; categories are mostly known, some unseen; nullable
    fields are missing in some rows.
    """
    rng = np.random.default_rng(seed)
    return {field.name: _column(field, rows, rng) for field in problem.contract.fields}


def _column(field: Field, rows: int, rng: np.random.Generator) -> npt.NDArray[np.generic]:
    missing = rng.random(rows) < (MISSING_SHARE if field.nullable else 0.0)
    if field.type.is_numeric:
        numbers = _numbers(field, rows, rng)
        numbers[missing] = np.nan
        return numbers
    known = np.array(field.categories or (str(field.example),), dtype=object)
    unseen = np.array([text for text in UNSEEN if text not in known], dtype=object)
    values = rng.choice(known, rows)
    odd = rng.random(rows) < UNUSUAL_SHARE
    values[odd] = rng.choice(unseen, int(odd.sum()))
    values[missing] = None
    return values


def _numbers(field: Field, rows: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    usual, bounds = _ranges(field)
    values = rng.uniform(*usual, rows)
    draw = rng.random(rows)
    unusual = draw < UNUSUAL_SHARE
    values[unusual] = rng.uniform(*bounds, int(unusual.sum()))
    edge = draw > 1.0 - EDGE_SHARE
    values[edge] = rng.choice(_edges(field, usual, bounds), int(edge.sum()))
    if field.type is FieldType.INTEGER:
        values = np.round(values)
        # Rounding may step over a bound that is not whole.
        return np.clip(values, math.ceil(bounds[0]), math.floor(bounds[1]))
    return values


def _ranges(field: Field) -> tuple[tuple[float, float], tuple[float, float]]:
    """Usual range and hard bounds; where one is open, ten times the example's size."""
    reach = 10.0 * max(1.0, abs(float(field.example)), *map(abs, field.usual or ()))
    low = field.minimum if field.minimum is not None else min(-reach, (field.maximum or 0) - reach)
    high = field.maximum if field.maximum is not None else max(reach, low + reach)
    usual = field.usual or (low, high)
    return (max(usual[0], low), min(usual[1], high)), (low, high)


def _edges(
    field: Field, usual: tuple[float, float], bounds: tuple[float, float]
) -> npt.NDArray[np.float64]:
    low, high = bounds
    inside = [np.nextafter(low, high), np.nextafter(high, low)]
    return np.array([low, high, *usual, float(field.example), *inside])
