"""The search box of the table of runs: words, and conditions such as ``auc>0.86``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from app.components import words

if TYPE_CHECKING:
    from core.training.experiments import RunSummary

_CONDITION = re.compile(r"^([\w.]+)(>=|<=|!=|=|>|<)(.+)$")
_NUMERIC: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    "=": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}


def matching(summaries: Sequence[RunSummary], text: str) -> tuple[RunSummary, ...]:
    """The runs that satisfy every part of ``text``, in the order given.

    A word is looked for in everything a row says; ``name<number``, ``name=value`` and the
    like ask a metric or a parameter (its ``model.`` may be left out). Case does not matter.
    """
    parts = text.split()
    return tuple(one for one in summaries if all(_satisfies(one, part) for part in parts))


def _satisfies(summary: RunSummary, part: str) -> bool:
    found = _CONDITION.match(part)
    if found is None:
        return part.casefold() in _said(summary)
    name, sign, wanted = found.groups()
    value = _lookup(summary, name.casefold())
    if value is None:
        return False
    try:
        return _NUMERIC[sign](float(value), float(wanted))
    except ValueError:
        same = str(value).casefold() == wanted.casefold()
        return same if sign == "=" else sign == "!=" and not same


def _lookup(summary: RunSummary, name: str) -> float | str | None:
    facts: dict[str, float | str] = {
        **_named(summary),
        **{key.casefold(): value for key, value in summary.params.items()},
        **{key.removeprefix("model.").casefold(): v for key, v in summary.params.items()},
        **{key.casefold(): value for key, value in summary.metrics.items()},
    }
    return facts.get(name)


def _named(summary: RunSummary) -> dict[str, str]:
    run = summary.run
    version = "" if run.model_version is None else str(run.model_version)
    return {
        "run": run.id,
        "status": run.status.value,
        "version": version,
        "family": summary.family or "",
        "profile": run.profile,
        "by": run.started_by,
    }


def _said(summary: RunSummary) -> str:
    run = summary.run
    version = "" if run.model_version is None else f"v{run.model_version}"
    facts = [run.id, run.status.value, version, summary.family or "", run.profile, run.started_by]
    facts += [words.family_name(summary.family), run.error or "", words.clock(run.started_at)]
    facts += [f"{key}={value}" for key, value in summary.params.items()]
    return "\n".join(facts).casefold()
