"""A check's report as data frames: features by drift, data quality, reasons."""

from __future__ import annotations

import pandas as pd

from core.domain_watching import Level
from core.monitoring.report import ColumnDrift, ColumnQuality, DriftReport, Reason
from core.monitoring.report_performance import Estimator

#: A sign before the word, so that colour is never the only hint.
_SIGNS = {
    Level.OK: "✓",
    Level.WARNING: "▲",
    Level.CRITICAL: "✕",
    Level.NOT_ENOUGH_DATA: "?",
}
#: NannyML's methods in words.
METHODS = {
    "jensen_shannon": "Jensen-Shannon distance",
    "kolmogorov_smirnov": "Kolmogorov-Smirnov statistic",
    "chi2": "Chi-squared statistic",
    "l_infinity": "L-infinity distance",
    "wasserstein": "Wasserstein distance",
    "hellinger": "Hellinger distance",
}
PERFORMANCE = {
    "roc_auc": "AUC",
    "accuracy": "Accuracy",
    "f1": "F1",
    "precision": "Precision",
    "recall": "Recall",
    "specificity": "Specificity",
}


def level_word(level: Level) -> str:
    """A level as a word with a sign."""
    return f"{_SIGNS[level]} {level.value}"


def method_name(method: str) -> str:
    """A method in words; an unknown one as it is written."""
    return METHODS.get(method, method.replace("_", " "))


def performance_name(metric: str) -> str:
    """A metric of performance in words; an unknown one as it is written."""
    return PERFORMANCE.get(metric, metric.replace("_", " "))


def features_frame(report: DriftReport) -> pd.DataFrame:
    """One row a feature, those that drift most first, and the prediction before them."""
    columns = [report.prediction] if report.prediction else []
    return pd.DataFrame([_feature_row(one) for one in [*columns, *report.features]])


def _feature_row(drift: ColumnDrift) -> dict[str, object]:
    alerts = [method_name(one.method) for one in drift.methods if one.alert]
    return {
        "Feature": "Prediction" if drift.rank == 0 else drift.column,
        "PSI": drift.psi,
        "By PSI": level_word(drift.level),
        "Jensen-Shannon": drift.jensen_shannon,
        "Methods that alert": ", ".join(alerts) or "none",
        "Note": drift.note,
    }


def past_errors_frame(estimator: Estimator) -> pd.DataFrame:
    """One row a check whose labels have come, newest first: estimated, realized, the error."""
    return pd.DataFrame(
        [
            {
                "Check": one.check_id[:8],
                "Metric": performance_name(one.metric),
                "Labels": one.rows,
                "Estimated": one.estimated,
                "Realized": one.realized,
                "Error": one.error,
                "Standard error": one.standard_error,
            }
            for one in estimator.past
        ]
    )


def quality_frame(quality: tuple[ColumnQuality, ...]) -> pd.DataFrame:
    """One row a column: missing then and now, unseen categories, out of the usual range."""
    return pd.DataFrame(
        [
            {
                "Column": one.column,
                "Missing, reference": one.missing_share_reference,
                "Missing": one.missing_share_analysis,
                "Unseen": one.unseen_share,
                "Unseen values": ", ".join(
                    f"{value.value} ({value.rows:,})" for value in one.unseen
                ),
                "Out of range, reference": one.out_of_range_share_reference,
                "Out of range": one.out_of_range_share,
                "Usual range": _range(one),
            }
            for one in quality
        ]
    )


def _range(quality: ColumnQuality) -> str:
    if quality.usual_low is None or quality.usual_high is None:
        return ""
    return f"{quality.usual_low:g} to {quality.usual_high:g}"


def reasons_frame(reasons: tuple[Reason, ...]) -> pd.DataFrame:
    """One row a reason, worst first."""
    return pd.DataFrame(
        [
            {
                "Verdict": level_word(one.level),
                "About": one.topic.value,
                "What": one.subject,
                "Measured": one.measured,
                "Limit": one.limit,
                "Reason": one.text,
            }
            for one in reasons
        ]
    )
