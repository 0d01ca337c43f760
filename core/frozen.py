"""The base of values at the edges: parameters, files and messages."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Never changed once read, and refused if it has a field that nobody declared."""

    # What was wrong may be a secret where none belongs: errors do not repeat it.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Finite(Frozen):
    """Also without infinity and NaN, which JSON does not know; what cannot be told is ``None``."""

    model_config = ConfigDict(allow_inf_nan=False)
