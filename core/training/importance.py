"""How much each parameter of a search mattered to its cross-validated AUC."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from core.training.report import Candidate
from core.training.trials import ParamValue

FAMILY = "family"
#: Fewer candidates, in all or for each parameter that varied, say more about which values
#: were tried together than about any one of them.
MIN_CANDIDATES = 8
MIN_PER_PARAMETER = 3
#: Spread of the AUC, as a variance, below which there is nothing to explain.
_NO_VARIANCE = 1e-12

#: From what was set and what came of it to each parameter's share of the variance.
Explain = Callable[[Sequence[Mapping[str, ParamValue]], Sequence[float]], Mapping[str, float]]


@dataclass(frozen=True)
class Importance:
    """What moved the AUC among ``candidates`` candidates; the largest share first.

    ``family`` is None where families were compared with one another. A share is the part
    of the variance of the candidates' mean AUC that a parameter explains by itself; with
    what only parameters together explain, shares add up to 1 at most. ``shares`` is empty
    where it cannot be told, and ``reason`` says why.
    """

    family: str | None
    candidates: int
    shares: tuple[tuple[str, float], ...]
    reason: str = ""


def importances(candidates: Sequence[Candidate], explain: Explain) -> tuple[Importance, ...]:
    """The choice of the family, then each family's parameters.

    Candidates that were given up are left out: their means are of other folds.
    """
    whole = [one for one in candidates if not one.pruned]
    families = list(dict.fromkeys(one.family for one in candidates))
    found = [_of_families(whole)] if len(families) > 1 else []
    groups = {family: [one for one in whole if one.family == family] for family in families}
    found += [_of_family(family, group, explain) for family, group in groups.items()]
    return tuple(found)


def _of_families(candidates: Sequence[Candidate]) -> Importance:
    """The correlation ratio: variance between the families' means over all variance.

    Pearson, "On the general theory of skew correlation and non-linear regression", 1905.
    """
    reason = _too_few(len(candidates), 1)
    groups: dict[str, list[float]] = {}
    for one in candidates:
        groups.setdefault(one.family, []).append(one.mean_auc)
    if not reason and len(groups) < 2:
        reason = "Only one family has candidates that were tried on every fold."
    if not reason and _is_flat(candidates):
        reason = "All candidates have the same mean AUC."
    if reason:
        return Importance(None, len(candidates), (), reason)
    mean = fmean(one.mean_auc for one in candidates)
    total = sum((one.mean_auc - mean) ** 2 for one in candidates)
    between = sum(len(group) * (fmean(group) - mean) ** 2 for group in groups.values())
    return Importance(None, len(candidates), ((FAMILY, between / total),))


def _of_family(family: str, candidates: Sequence[Candidate], explain: Explain) -> Importance:
    names = sorted(set.intersection(*(set(one.params) for one in candidates)) if candidates else ())
    varied = [name for name in names if len({one.params[name] for one in candidates}) > 1]
    reason = _too_few(len(candidates), len(varied))
    if not reason and not varied:
        reason = "Every candidate has the same parameters."
    if not reason and _is_flat(candidates):
        reason = "All candidates have the same mean AUC."
    if reason:
        return Importance(family, len(candidates), (), reason)
    settings = [{name: one.params[name] for name in varied} for one in candidates]
    shares = explain(settings, [one.mean_auc for one in candidates])
    largest_first = sorted(shares.items(), key=lambda share: (-share[1], share[0]))
    return Importance(family, len(candidates), tuple(largest_first))


def _too_few(candidates: int, parameters: int) -> str:
    needed = max(MIN_CANDIDATES, MIN_PER_PARAMETER * parameters)
    if candidates >= needed:
        return ""
    return f"Too few candidates to tell: {candidates} on every fold, and it takes {needed}."


def _is_flat(candidates: Sequence[Candidate]) -> bool:
    mean = fmean(one.mean_auc for one in candidates)
    return fmean((one.mean_auc - mean) ** 2 for one in candidates) < _NO_VARIANCE
