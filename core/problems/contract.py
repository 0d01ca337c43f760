"""What a problem is: its columns, its label and the rules they obey.

Two tiers of rules. Hard rules (type, finite, required, absolute bounds) refuse a
record or a file. Soft rules (usual range, known categories) accept it, count
it and show it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import cached_property

import numpy as np
import numpy.typing as npt

#: One array of shape (rows,) a column. Numbers are float64 with NaN for a missing
#: value; categories are object arrays of ``str`` with ``None`` for a missing value.
Columns = Mapping[str, npt.NDArray[np.generic]]
Value = int | float | str

#: Longest value of a category, in characters; what is longer is not one.
MAX_TEXT = 1_000
#: Columns that stages and logs add; an input may not be called so.
RESERVED = frozenset({"row_id", "label", "fold", "probability", "at", "request_id", "version"})
_BOOLEAN = {"true", "false"}


class FieldType(StrEnum):
    """How a column's values are typed on the wire and treated by a model."""

    INTEGER = "integer"
    NUMBER = "number"
    CATEGORY = "category"

    @property
    def is_numeric(self) -> bool:
        """Whether values are numbers, whole or not."""
        return self is not FieldType.CATEGORY


@dataclass(frozen=True)
class Field:
    """One input column.

    Hard: ``type``, ``nullable``, ``minimum``, ``maximum`` (both inclusive).
    Soft: ``usual`` (inclusive range), ``categories`` (known values).
    Where ``feature`` is false, a model sees it through derived features only.
    """

    name: str
    type: FieldType
    description: str
    example: Value
    unit: str = ""
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    usual: tuple[float, float] | None = None
    categories: tuple[str, ...] = ()
    feature: bool = True

    def spell(self, values: Iterable[object]) -> list[str | None]:
        """Values of a category as the contract spells them; ``None`` stays.

        Programs write a boolean as ``True`` or as ``true``: where the known categories are
        these two, the case of a letter makes no other value.
        """
        texts = [None if value is None else str(value) for value in values]
        known = self._booleans
        if not known:
            return texts
        return [None if text is None else known.get(text.lower(), text) for text in texts]

    @cached_property
    def _booleans(self) -> Mapping[str, str]:
        """The known categories by their small letters where they are true and false."""
        known = {category.lower(): category for category in self.categories}
        return known if known.keys() == _BOOLEAN else {}


@dataclass(frozen=True)
class ReducedInput:
    """A text that may be given in place of a field, and of which that field alone is kept.

    An example is a person's name, of which a field keeps the title. The text is reduced
    at the door, before anything is checked, stored or logged. ``reduce`` takes any text
    and returns ``None`` where it finds nothing.
    """

    name: str
    description: str
    example: str
    #: The field that is kept: a nullable category with known values.
    into: str
    reduce: Callable[[str], str | None]


@dataclass(frozen=True)
class Label:
    """The column a model predicts; both values as the data spells them."""

    name: str
    positive: int | str
    negative: int | str
    positive_meaning: str
    negative_meaning: str

    def read(self, value: object) -> float | None:
        """1.0 for the positive value, 0.0 for the negative, ``None`` for anything else.

        Where the values are whole numbers, 1, 1.0 and the texts of both are the same.
        """
        text = _plain_number(str(value))
        spelled = {_plain_number(str(self.positive)): 1.0, _plain_number(str(self.negative)): 0.0}
        return spelled.get(text)


def _plain_number(text: str) -> str:
    """``1.0`` as ``1``: data with missing labels comes as fractions."""
    return text[:-2] if text.endswith(".0") and text[:-2].lstrip("-").isdigit() else text


@dataclass(frozen=True)
class Contract:
    """Columns a caller sends, the label, and the columns that never reach a model.

    ``identifiers`` are ignored in a request; ``leaky`` columns tell the label
    and are dropped on the way in; ``reduced`` ones may be given in place of a field; any
    other unknown column is refused in a request. ``timestamp`` says when a row happened, for
    the time axis of checks; no model sees it, and a request that has it is not refused.
    """

    fields: tuple[Field, ...]
    label: Label
    identifiers: tuple[str, ...] = ()
    leaky: tuple[str, ...] = ()
    reduced: tuple[ReducedInput, ...] = ()
    timestamp: str | None = None

    def __post_init__(self) -> None:
        texts = [source.name for source in self.reduced]
        names = [*self.names, self.label.name, *self.identifiers, *self.leaky, *texts]
        names += [self.timestamp] if self.timestamp else []
        taken = sorted(set(self.names) & RESERVED)
        if taken:
            raise ValueError(f"names that the product uses itself: {', '.join(taken)}")
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"columns declared more than once: {', '.join(repeated)}")
        fillable = {f.name for f in self.fields if f.nullable and f.categories}
        wrong = [source.name for source in self.reduced if source.into not in fillable]
        if wrong or len({source.into for source in self.reduced}) < len(texts):
            raise ValueError(
                "each reduced input needs a nullable field of its own with known categories: "
                f"{', '.join(wrong or texts)}"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Input columns in contract order."""
        return tuple(f.name for f in self.fields)

    @property
    def ignored(self) -> tuple[str, ...]:
        """Columns that a request may carry and that nobody reads."""
        return (*self.identifiers, *self.leaky, *((self.timestamp,) if self.timestamp else ()))

    def fill_reduced(
        self, source: ReducedInput, given: Sequence[str | None], texts: Sequence[str | None]
    ) -> list[str | None]:
        """Values of the field ``source.into``: what was given, else what the text comes to.

        Only known categories come out of a text, so the text itself never gets through,
        whatever ``reduce`` returns. Both sequences have one entry a row.
        """
        if not any(texts):
            return [value or None for value in given]
        (known,) = [f.categories for f in self.fields if f.name == source.into]

        def kept(text: str | None) -> str | None:
            value = source.reduce(text) if text else None
            return value if value in known else None

        return [value or kept(text) for value, text in zip(given, texts, strict=True)]

    def fingerprint(self) -> str:
        """SHA-256 of the contract, hexadecimal; equal contracts, equal fingerprints.

        Of a function its name counts, not what it does.
        """
        values = asdict(self)
        if self.timestamp is None:
            # Contracts from before there were timestamps keep their fingerprint.
            del values["timestamp"]
        text = json.dumps(values, sort_keys=True, default=lambda function: function.__name__)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class DerivedFeature:
    """A feature computed from contract columns, by Spark and by the server alike.

    ``compute`` takes columns of shape (rows,) and returns one array of shape
    (rows,): float64 with NaN, or object with ``None``, as ``Columns`` says.
    """

    name: str
    type: FieldType
    compute: Callable[[Columns], npt.NDArray[np.generic]]


@dataclass(frozen=True)
class DatasetSource:
    """Where a built-in problem's labelled rows come from.

    ``provider`` is ``nannyml`` (``name`` is the bundled data set) or ``file``
    (``name`` is the path of a CSV or Parquet file).
    """

    provider: str
    name: str


@dataclass(frozen=True)
class Arrivals:
    """Rows that come after training, for a simulation: where they are and how they arrive.

    ``replayed`` draws every day from all rows again; otherwise they are dealt in order.
    ``inflation`` multiplies numeric columns in the second half of the days, for data that
    does not drift by itself.
    """

    source: DatasetSource
    replayed: bool = False
    inflation: Mapping[str, float] = field(default_factory=dict)


#: family -> hyper-parameter (Spark's name) -> values to try.
SearchSpace = Mapping[str, Mapping[str, tuple[float | int | str, ...]]]


@dataclass(frozen=True)
class Problem:
    """Everything the product knows about one problem."""

    name: str
    title: str
    contract: Contract
    source: DatasetSource
    search_space: SearchSpace
    derived: tuple[DerivedFeature, ...] = field(default=())
    #: What `pilothouse simulate` delivers, where there is something.
    arrivals: Arrivals | None = None
    kind: str = "tabular"

    @property
    def numeric_features(self) -> tuple[str, ...]:
        """Model inputs that are numbers: contract fields, then derived ones."""
        return tuple(name for name, type_ in self._features() if type_.is_numeric)

    @property
    def categorical_features(self) -> tuple[str, ...]:
        """Model inputs that are categories: contract fields, then derived ones."""
        return tuple(name for name, type_ in self._features() if not type_.is_numeric)

    @property
    def modules(self) -> tuple[str, ...]:
        """Names of the modules that its functions are from, sorted."""
        functions = [feature.compute for feature in self.derived]
        texts = [source.reduce for source in self.contract.reduced]
        return tuple(sorted({one.__module__ for one in (*functions, *texts)}))

    def _features(self) -> list[tuple[str, FieldType]]:
        given = [(f.name, f.type) for f in self.contract.fields if f.feature]
        return given + [(d.name, d.type) for d in self.derived]

    def with_derived(self, columns: Columns) -> dict[str, npt.NDArray[np.generic]]:
        """Returns the contract's columns and every derived one, shape (rows,) each."""
        out = dict(columns)
        for feature in self.derived:
            out[feature.name] = feature.compute(out)
        return out
