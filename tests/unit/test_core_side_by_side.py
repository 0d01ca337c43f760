from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pytest

from core.domain import Run, RunStatus
from core.errors import InvalidInputError, NotFoundError
from core.training.comparison import AucComparison, Incomparable, Resampling
from core.training.experiments import RunSummary
from core.training.predictions import HoldoutPredictions
from core.training.report import EvaluationReport
from core.training.side_by_side import lay_side_by_side
from tests.unit.core_fakes import report_of

HOW = Resampling(samples=100, confidence=0.95, seed=1)
NOW = datetime(2026, 1, 2, tzinfo=UTC)


@dataclass
class Kept:
    """Finished runs by id: their AUC, and how well their model ranks the same rows."""

    aucs: dict[str, float]
    without_predictions: set[str] = field(default_factory=set)
    problems: dict[str, str] = field(default_factory=dict)

    def summary(self, run_id: str) -> RunSummary:
        run = Run(run_id, "plums", RunStatus.FINISHED, "2c-2g", "ann", NOW, NOW)
        metrics = {"auc": self.aucs[run_id], "core_seconds": 12.0, "gc_share": 0.1}
        return RunSummary(run, "gbt", {}, metrics)

    def report(self, run_id: str) -> EvaluationReport:
        if run_id not in self.aucs:
            raise NotFoundError(f"MLflow has no run {run_id}.")
        report = report_of(self.aucs[run_id])
        return report.model_copy(update={"problem": self.problems.get(run_id, "plums")})

    def predictions(self, run_id: str) -> HoldoutPredictions:
        if run_id in self.without_predictions:
            raise NotFoundError("MLflow has no such file.")
        label = np.tile([0.0, 1.0], 60)
        noise = np.random.default_rng(3).normal(0, 4 * (1 - self.aucs[run_id]), label.size)
        stones = np.tile([1.0, 1.0, 2.0, 2.0], 30)
        return HoldoutPredictions(
            np.arange(label.size), label, 1 / (1 + np.exp(-label - noise)), {"stones": stones}
        )


def test_every_run_is_held_against_the_first() -> None:
    sides = lay_side_by_side(Kept({"a": 0.7, "b": 0.95, "c": 0.7}), ["a", "b", "c", "b"], HOW)
    assert [side.run.id for side in sides] == ["a", "b", "c"]
    base, better, same = sides
    assert base.against is None
    assert base.differences == {}
    assert better.differences["auc"] == pytest.approx(0.25)
    assert better.against is not None
    assert isinstance(better.against.auc, AucComparison)
    assert better.against.auc.probability_better > 0.99
    assert {one.column for one in better.against.slices} == {"stones"}
    assert same.against is not None
    assert isinstance(same.against.auc, AucComparison)
    assert same.against.auc.probability_better == 0.5
    assert base.costs == {"core_seconds": 12.0, "gc_share": 0.1}


def test_a_run_without_predictions_says_so_and_keeps_its_metrics() -> None:
    for lacking in ("a", "b"):
        sides = lay_side_by_side(Kept({"a": 0.7, "b": 0.9}, {lacking}), ["a", "b"], HOW)
        assert sides[1].against is not None
        assert sides[1].against.slices == ()
        found = sides[1].against.auc
        assert isinstance(found, Incomparable)
        assert found.reason == f"Run {lacking} kept no predictions of the holdout."
        assert sides[1].differences["auc"] == pytest.approx(0.2)


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="two different runs"):
        lay_side_by_side(Kept({"a": 0.7}), ["a", "a"], HOW)
    with pytest.raises(NotFoundError):
        lay_side_by_side(Kept({"a": 0.7}), ["a", "gone"], HOW)
    two = Kept({"a": 0.7, "b": 0.7}, problems={"b": "pears"})
    with pytest.raises(InvalidInputError, match="pears, plums"):
        lay_side_by_side(two, ["a", "b"], HOW)
