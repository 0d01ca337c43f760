"""Shorter boosted ensembles out of a longer one, without fitting them."""

from __future__ import annotations

from pyspark.ml.classification import GBTClassificationModel
from pyspark.ml.wrapper import JavaWrapper


def gbt_prefix(model: GBTClassificationModel, iterations: int) -> GBTClassificationModel:
    """Returns the model that the first ``iterations`` of ``model``'s fit made.

    Spark seeds tree ``m`` with ``seed + m`` and fits it to what the trees before it leave
    over, so this is the model that ``maxIter=iterations`` gives, number for number.
    """
    java = model._java_obj
    prefix = JavaWrapper._new_java_obj(
        "org.apache.spark.ml.classification.GBTClassificationModel",
        java.uid(),
        java.trees()[:iterations],
        java.treeWeights()[:iterations],
        java.numFeatures(),
        java.numClasses(),
    )
    return model._copyValues(GBTClassificationModel(prefix))
