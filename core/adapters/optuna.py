"""Optuna: its tree-structured Parzen estimator proposes trials, its fANOVA explains them.

Trials run, and are given up, in ``core/training/adaptive.py``.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from statistics import fmean

import optuna

from core.problems.contract import SearchSpace
from core.training.adaptive import Proposal
from core.training.report import Candidate
from core.training.space import Choice, Dimension, dimension_of
from core.training.trials import ParamValue, make_trial

#: Trials drawn at random before the first that is chosen by the others: a third of the
#: budget, and no more than Optuna's own default.
RANDOM_SHARE = 3
MOST_RANDOM = 10
#: The forest behind the explanation is random; the same candidates are to say the same.
EXPLANATION_SEED = 0


class TpeProposer:
    """Proposes trials over all families as one space; each family comes up first once.

    The same seed and the same answers give the same proposals. Each parameter is judged by
    itself: judged together, few trials tie the search to the first family that did well.
    """

    def __init__(self, space: SearchSpace, families: Sequence[str], trials: int, seed: int) -> None:
        self._families = list(families)
        self._dimensions = {
            family: {name: dimension_of(values) for name, values in sorted(space[family].items())}
            for family in families
        }
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with warnings.catch_warnings():
            # The liar, which sets trials that still run apart, is marked as experimental.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(
                seed=seed,
                n_startup_trials=min(MOST_RANDOM, max(len(families), trials // RANDOM_SHARE)),
                constant_liar=True,
            )
        self._study = optuna.create_study(
            direction="maximize", sampler=sampler, pruner=optuna.pruners.NopPruner()
        )
        for family in families:
            self._study.enqueue_trial({"family": family})
        self._asked: dict[int, optuna.Trial] = {}

    def ask(self) -> Proposal:
        """Returns what to try next."""
        trial = self._study.ask()
        family = str(trial.suggest_categorical("family", self._families))
        params = {
            name: _suggest(trial, f"{family}.{name}", dimension)
            for name, dimension in self._dimensions[family].items()
        }
        self._asked[trial.number] = trial
        return Proposal(trial.number, make_trial(family, params))

    def tell(self, proposal: Proposal, candidate: Candidate) -> None:
        """Hears the AUC; of a candidate that was given up, as far as it went."""
        trial = self._asked.pop(proposal.number)
        for done in range(1, len(candidate.fold_auc) + 1):
            trial.report(fmean(candidate.fold_auc[:done]), step=done)
        if candidate.pruned:
            self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            self._study.tell(trial, candidate.mean_auc)


def _suggest(trial: optuna.Trial, name: str, dimension: Dimension) -> ParamValue:
    if isinstance(dimension, Choice):
        # By place, because Optuna's choices may be of more types than ours.
        places = range(len(dimension.values))
        return dimension.values[trial.suggest_categorical(name, list(places))]
    if dimension.or_zero and trial.suggest_categorical(f"{name} is 0", [False, True]):
        return 0 if dimension.integer else 0.0
    low, high = dimension.low, dimension.high
    if dimension.integer:
        return trial.suggest_int(name, int(low), int(high), log=dimension.log)
    return dimension.rounded(trial.suggest_float(name, low, high, log=dimension.log))


def explain_by_fanova(
    settings: Sequence[Mapping[str, ParamValue]], values: Sequence[float]
) -> dict[str, float]:
    """Share of the variance of ``values`` that each parameter explains by itself.

    Functional ANOVA over a random forest (Hutter, Hoos & Leyton-Brown, "An Efficient
    Approach for Assessing Hyperparameter Importance", ICML 2014).

    Args:
        settings: one mapping a candidate, all with the same keys, each of which varies.
        values: what came of each.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    names = sorted(settings[0])
    distributions = {name: _distribution([one[name] for one in settings]) for name in names}
    study = optuna.create_study(direction="maximize")
    for setting, value in zip(settings, values, strict=True):
        study.add_trial(
            optuna.trial.create_trial(
                params=dict(setting),
                distributions=distributions,
                value=value,
            )
        )
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=EXPLANATION_SEED)
    return {name: float(share) for name, share in evaluator.evaluate(study).items()}


def _distribution(values: Sequence[ParamValue]) -> optuna.distributions.BaseDistribution:
    dimension = dimension_of(values)
    if isinstance(dimension, Choice):
        return optuna.distributions.CategoricalDistribution(dimension.values)
    # A range that counts by order of magnitude has no place for 0.
    log = dimension.log and not dimension.or_zero
    low = 0.0 if dimension.or_zero else dimension.low
    return optuna.distributions.FloatDistribution(low, dimension.high, log=log)
