"""The same 29 candidates by a plain recipe and by our search, and an adaptive search."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmarks.machine import prepare_launch, run_module
from benchmarks.outcome import SearchOutcome
from benchmarks.report import Section, Target, Timing

#: In the order in which each repetition runs them; the first is the peer.
TIMED = ("recipe", "ours-local", "ours-ray", "tpe-ray")
_NAMES = {
    "recipe": "recipe: 29 candidates, `TrainValidationSplit`, `local[*]`",
    "ours-local": "ours: the same 29, `local[2]`",
    "ours-ray": "ours: the same 29, warm RayDP",
    "tpe-ray": "ours: `tpe` as delivered, warm RayDP",
}
MOST_LOCAL = 0.45
MOST_TPE = 0.5
AUC_TOLERANCE = 0.005

Outcomes = Mapping[str, Sequence[SearchOutcome]]


def measure(repeat: int) -> Section:
    """Runs the searches one after another, ``repeat`` times, on data of their own."""
    outcomes: dict[str, list[SearchOutcome]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="ph-bench-") as folder:
        launch = prepare_launch(Path(folder))
        workspace = str(Path(folder) / "workspace")

        def run(search: str) -> None:
            line = run_module(launch, "benchmarks.search_process", [search, workspace])
            outcomes[search].append(SearchOutcome.model_validate_json(line))

        run("prepare")
        run("grid-on-folds")
        for _ in range(repeat):
            for search in TIMED:
                run(search)
    return judge(outcomes)


def judge(outcomes: Outcomes) -> Section:
    """Holds what the searches found against the targets."""
    seconds = {name: tuple(one.seconds for one in outcomes[name]) for name in TIMED}
    peer = median(seconds["recipe"])
    grid_auc, tpe_auc = (_cross_validated(outcomes[n][0]) for n in ("grid-on-folds", "tpe-ray"))
    notes = {name: _families(outcomes[name][0]) for name in TIMED}
    notes["tpe-ray"] = f"cross-validated AUC {tpe_auc:.4f}, the grid's best {grid_auc:.4f}"
    return Section(
        "Search over 29 candidates",
        tuple(Timing(_NAMES[name], seconds[name], notes[name]) for name in TIMED),
        (
            Target("ours on `local[2]` / recipe", median(seconds["ours-local"]) / peer, MOST_LOCAL),
            *_auc_targets(outcomes),
            Target("`tpe` on warm RayDP / recipe", median(seconds["tpe-ray"]) / peer, MOST_TPE),
            Target("cross-validated AUC of `tpe`", tpe_auc, grid_auc, at_least=True),
        ),
    )


def _auc_targets(outcomes: Outcomes) -> tuple[Target, ...]:
    pairs = zip(outcomes["recipe"][0].families, outcomes["ours-local"][0].families, strict=True)
    return tuple(
        Target(
            f"holdout AUC of {theirs.family}, difference to the recipe's",
            abs(ours.holdout_auc - theirs.holdout_auc),
            AUC_TOLERANCE,
        )
        for theirs, ours in pairs
    )


def _families(outcome: SearchOutcome) -> str:
    found = (f"{one.family} {one.holdout_auc:.4f}" for one in outcome.families)
    return "holdout AUC: " + ", ".join(found)


def _cross_validated(outcome: SearchOutcome) -> float:
    if outcome.cross_validated_auc is None:
        raise ValueError("this search was not over the folds")
    return outcome.cross_validated_auc
