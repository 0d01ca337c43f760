"""How much each feature counts in a fitted classifier, under readable names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pyspark.ml import PipelineModel, Transformer
from pyspark.ml.classification import LogisticRegressionModel

from core.problems.contract import Problem
from core.training.preprocessing import category_labels
from core.training.report import FeatureWeight

IMPORTANCE = "importance"
COEFFICIENT = "standardized coefficient"


def weight_kind(family: str) -> str:
    """What the weights of a family mean."""
    return COEFFICIENT if family == "lr" else IMPORTANCE


def feature_weights(
    features: PipelineModel, classifier: Transformer, problem: Problem
) -> tuple[FeatureWeight, ...]:
    """Weights of a fitted classifier, the heaviest first.

    Trees give one share a feature, adding up to 1 (0 each where no tree splits).
    Logistic regression gives one signed coefficient a number and one a known
    category value (``colour=red``): the change of the log odds for one standard
    deviation. A value unseen in training has none.
    """
    if isinstance(classifier, LogisticRegressionModel):
        weights = _paired(_linear_slots(features, problem), classifier.coefficients.toArray())
    else:
        weights = _paired(
            model_columns(problem), _importances(classifier, len(model_columns(problem)))
        )
    return tuple(sorted(weights, key=lambda w: (-abs(w.weight), w.feature)))


def _importances(classifier: Transformer, features: int) -> Sequence[float]:
    if not hasattr(classifier, "get_booster"):
        return list(classifier.featureImportances.toArray())
    gains = classifier.get_booster().get_score(importance_type="total_gain")
    total = sum(gains.values()) or 1.0
    return [gains.get(f"f{slot}", 0.0) / total for slot in range(features)]


def model_columns(problem: Problem) -> tuple[str, ...]:
    """Features in the order of the slots of ``tree_features``."""
    return (*problem.categorical_features, *problem.numeric_features)


def _linear_slots(features: PipelineModel, problem: Problem) -> tuple[str, ...]:
    known = zip(problem.categorical_features, category_labels(features), strict=True)
    one_hot = [f"{name}={label}" for name, labels in known for label in labels]
    return (*one_hot, *problem.numeric_features)


def _paired(names: Sequence[str], values: Iterable[float]) -> list[FeatureWeight]:
    pairs = zip(names, values, strict=True)
    return [FeatureWeight(feature=name, weight=float(value)) for name, value in pairs]
