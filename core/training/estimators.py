"""The model families: one unfitted classifier each, over the fitted features."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pyspark.ml import Estimator, PipelineModel
from pyspark.ml.classification import GBTClassifier, LogisticRegression, RandomForestClassifier

from core.errors import InvalidInputError, Offence
from core.training.preprocessing import (
    LABEL,
    LINEAR_FEATURES,
    TREE_FEATURES,
    category_labels,
)
from core.training.trials import ParamValues

#: Spark's own default; more bins are taken only where a category has more values.
FEWEST_BINS = 32
#: Relative change of the loss at which logistic regression stops: scikit-learn's default.
#: Spark's own, 1e-6, takes up to three times the iterations, each of which is a job of its
#: own, for the same AUC to three decimals.
LINEAR_TOLERANCE = 1e-4


def build_estimator(
    family: str, params: ParamValues, seed: int, features: PipelineModel
) -> Estimator:
    """Returns an unfitted classifier that reads the output of ``features``.

    Args:
        family: ``lr``, ``rf``, ``gbt`` or ``xgb``.
        params: hyper-parameters under the names of Spark's or XGBoost's classifier.
        seed: seed of every random choice; with one seed and one partitioning, one model.
        features: what ``fit_features`` returned; Spark's trees need as many bins as the
            largest category has values.

    Raises:
        InvalidInputError: the classifier has no parameter of that name.
    """
    estimator, fixed = _FAMILIES[family](params, seed, features)
    offences = [Offence(name, "unknown") for name in params if not estimator.hasParam(name)]
    if offences:
        raise InvalidInputError(
            f"Family {family} has no parameter called {offences[0].field!r}.",
            fix="Use the names of the family's classifier in the problem's search space.",
            offences=offences,
        )
    for name, value in {**params, **fixed}.items():
        estimator.set(estimator.getParam(name), value)
    return estimator


#: An estimator, and the parameters that no search space may set.
_Built = tuple[Estimator, ParamValues]


def _linear(params: ParamValues, seed: int, features: PipelineModel) -> _Built:
    # Already standardised, so the penalty is as Spark's own standardisation makes it.
    estimator = LogisticRegression(
        labelCol=LABEL,
        featuresCol=LINEAR_FEATURES,
        standardization=False,
        family="binomial",
        tol=LINEAR_TOLERANCE,
    )
    return estimator, {}


def _forest(params: ParamValues, seed: int, features: PipelineModel) -> _Built:
    estimator = RandomForestClassifier(labelCol=LABEL, featuresCol=TREE_FEATURES)
    return estimator, {"seed": seed, "maxBins": _bins(params, features)}


def _boosted(params: ParamValues, seed: int, features: PipelineModel) -> _Built:
    estimator = GBTClassifier(labelCol=LABEL, featuresCol=TREE_FEATURES)
    return estimator, {"seed": seed, "maxBins": _bins(params, features)}


def _bins(params: ParamValues, features: PipelineModel) -> int:
    sizes = [len(labels) + 1 for labels in category_labels(features)]
    return max([int(params.get("maxBins", FEWEST_BINS)), *sizes])


def _xgboost(params: ParamValues, seed: int, features: PipelineModel) -> _Built:
    # Imported where it is asked for: it takes scikit-learn with it.
    from xgboost.spark import SparkXGBClassifier

    # One worker, whatever the executors: the sums of a histogram depend on who adds them.
    estimator = SparkXGBClassifier(
        label_col=LABEL, features_col=TREE_FEATURES, num_workers=1, random_state=seed
    )
    return estimator, {}


_FAMILIES: Mapping[str, Callable[[ParamValues, int, PipelineModel], _Built]] = {
    "lr": _linear,
    "rf": _forest,
    "gbt": _boosted,
    "xgb": _xgboost,
}
