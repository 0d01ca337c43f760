"""Whether parameters or settings are other than the trail last said, and what has changed.

The row of a change holds everything that is in force from then on, so that the trail also
tells under which limits a version went live. Secrets are left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from core.params import Params
from core.promotion.audit import Action, AuditRow, Chosen
from core.promotion.identity import WORKER
from core.promotion.trail import AuditTrail
from core.settings import Settings

#: Before what is in force, in the detail of a row.
IN_FORCE = "\nIn force: "
_MOST_NAMED = 12
_LONGEST_VALUE = 60

Values = Mapping[str, object]


def in_force(settings: Settings, params: Params) -> Values:
    """Everything that a process was started with, secrets left out."""
    return {"params": params.model_dump(mode="json"), "settings": settings.public()}


class SettingsWatch:
    """Compares what this process was started with to the last such row, once."""

    def __init__(self, trail: AuditTrail, in_force: Values) -> None:
        self._trail = trail
        # As it comes back from JSON, so that equal values compare as equal.
        self._in_force = json.loads(json.dumps(in_force, sort_keys=True))
        self._is_done = False

    def run(self) -> None:
        """Writes a row if something differs; after the first success there is nothing to do.

        Raises:
            UnavailableError: the database does not answer.
        """
        if self._is_done:
            return
        last = self._trail.list(1, Chosen(action=Action.SETTINGS_CHANGED))
        before = in_force_by(last[0]) if last else None
        if before != self._in_force:
            said = "The first start." if before is None else changes(before, self._in_force)
            self._trail.record(
                Action.SETTINGS_CHANGED,
                actor=WORKER,
                object="parameters and settings",
                detail=f"{said}{IN_FORCE}{json.dumps(self._in_force, sort_keys=True)}",
            )
        self._is_done = True


def in_force_by(row: AuditRow) -> Values | None:
    """What a row says is in force; ``None`` if it cannot be read, as in an edited row."""
    _, _, text = row.entry.detail.partition(IN_FORCE)
    try:
        read = json.loads(text)
    except ValueError:
        return None
    return read if isinstance(read, dict) else None


def changes(before: Values, now: Values) -> str:
    """Names every value that differs, by its dotted path, with what it was and what it is."""
    old, new = _flat(before), _flat(now)
    paths = sorted(path for path in {*old, *new} if old.get(path) != new.get(path))
    told = [f"{path}: {_shown(old, path)} → {_shown(new, path)}" for path in paths]
    more = len(told) - _MOST_NAMED
    rest = [f"and {more} more"] if more > 0 else []
    return "; ".join([*told[:_MOST_NAMED], *rest]) + "."


def _flat(values: Values, under: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in values.items():
        path = f"{under}{name}"
        flat |= _flat(value, f"{path}.") if isinstance(value, dict) and value else {path: value}
    return flat


def _shown(values: Values, path: str) -> str:
    if path not in values:
        return "absent"
    text = json.dumps(values[path], ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
