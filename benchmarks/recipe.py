"""The plain recipe: a whole pipeline for each family inside ``TrainValidationSplit``.

It is what a tutorial shows and what Spark's own classes do by themselves: every
candidate goes through all steps, one after another, and the best is fitted once more.
"""

from __future__ import annotations

from pyspark.ml import Pipeline
from pyspark.ml.classification import GBTClassifier, LogisticRegression, RandomForestClassifier
from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.ml.feature import Imputer, OneHotEncoder, StringIndexer, VectorAssembler
from pyspark.ml.tuning import ParamGridBuilder, TrainValidationSplit
from pyspark.sql import DataFrame

from benchmarks.candidates import GRIDS
from benchmarks.outcome import FamilyOutcome
from benchmarks.split import TRAIN_RATIO
from core.problems.contract import Problem
from core.training.preprocessing import LABEL

_CLASSIFIERS = {"lr": LogisticRegression, "rf": RandomForestClassifier, "gbt": GBTClassifier}


def search_by_recipe(
    train: DataFrame, holdout: DataFrame, problem: Problem, seed: int
) -> tuple[FamilyOutcome, ...]:
    """Searches family after family and measures each winner on the holdout."""
    evaluator = BinaryClassificationEvaluator(labelCol=LABEL)
    # Spark writes a missing text to Parquet as it finds it; an empty name of a category ends
    # the encoder with an error.
    train, holdout = (
        frame.replace("", None, subset=list(problem.categorical_features))
        for frame in (train, holdout)
    )
    outcomes = []
    for family in GRIDS:
        classifier = _CLASSIFIERS[family](labelCol=LABEL, featuresCol="features")
        if family != "lr":
            classifier.setSeed(seed)
        grid = ParamGridBuilder()
        for name, values in GRIDS[family].items():
            grid.addGrid(classifier.getParam(name), list(values))
        search = TrainValidationSplit(
            estimator=Pipeline(stages=[*_steps(problem, family), classifier]),
            estimatorParamMaps=grid.build(),
            evaluator=evaluator,
            trainRatio=TRAIN_RATIO,
            seed=seed,
        )
        model = search.fit(train)
        outcomes.append(
            FamilyOutcome(
                family=family,
                validation_auc=max(model.validationMetrics),
                holdout_auc=evaluator.evaluate(model.transform(holdout)),
            )
        )
    return tuple(outcomes)


def _steps(problem: Problem, family: str) -> list[object]:
    categories, numbers = list(problem.categorical_features), list(problem.numeric_features)
    indexes = [f"{name}_index" for name in categories]
    filled = [f"{name}_filled" for name in numbers]
    steps: list[object] = [
        StringIndexer(inputCols=categories, outputCols=indexes, handleInvalid="keep"),
        Imputer(inputCols=numbers, outputCols=filled, strategy="median"),
    ]
    if family == "lr":
        one_hot = [f"{name}_one_hot" for name in categories]
        steps.append(OneHotEncoder(inputCols=indexes, outputCols=one_hot))
        indexes = one_hot
    return [*steps, VectorAssembler(inputCols=[*indexes, *filled], outputCol="features")]
