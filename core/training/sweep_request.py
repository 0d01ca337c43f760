"""Whether what is asked of a sweep makes sense. Pure functions of values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.errors import InvalidInputError, Offence
from core.params import Params, Profile, TrainingParams, override_training
from core.problems.contract import Problem

FAMILIES = "search.families"


@dataclass(frozen=True)
class SweepRequest:
    """What a sweep is to measure; every name is known and given once."""

    profiles: tuple[Profile, ...]
    families: tuple[str, ...]
    repeat: int
    training: TrainingParams


def read_request(
    params: Params,
    problem: Problem,
    *,
    profiles: Sequence[str],
    families: Sequence[str],
    repeat: int,
    overrides: Mapping[str, str],
) -> SweepRequest:
    """Checks what somebody asked for.

    Raises:
        NotFoundError: no such profile.
        InvalidInputError: a profile breaks a rule, a list is empty or names something
            twice, a family is unknown, ``repeat`` is below 1, or an override breaks a rule.
    """
    _require_distinct("profiles", profiles)
    _require_distinct("families", families)
    if repeat < 1:
        raise InvalidInputError(
            f"A sweep cannot be repeated {repeat} times.", fix="Choose 1 or more."
        )
    chosen = tuple(params.profile_named(name) for name in profiles)
    # Again, because a profile that is written out may be one of those with a name.
    _require_distinct("profiles", [profile.name for profile in chosen])
    _require_spaces(problem, families)
    if FAMILIES in overrides:
        raise InvalidInputError(
            "A sweep takes its families by themselves.", fix="Use --families instead."
        )
    changes = {**overrides, FAMILIES: f"[{', '.join(families)}]"}
    training = override_training(params.training, changes)
    return SweepRequest(chosen, tuple(families), repeat, training)


def _require_distinct(what: str, names: Sequence[str]) -> None:
    if not names:
        raise InvalidInputError(f"A sweep needs {what}.", fix="Name at least one.")
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise InvalidInputError(
            f"{', '.join(twice)} is given twice among the {what}.",
            fix="Name each once; --repeat measures all of them again.",
        )


def _require_spaces(problem: Problem, families: Sequence[str]) -> None:
    unknown = [name for name in families if name not in problem.search_space]
    if unknown:
        raise InvalidInputError(
            f"{problem.name} has no search space for {', '.join(unknown)}.",
            fix=f"Choose among: {', '.join(problem.search_space)}.",
            offences=[Offence("families", f"{name} has no space") for name in unknown],
        )
