"""NannyML on its car loans, whose second half drifts, and on data that breaks it.

The real library, which takes seconds to import; hence one module.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

from core.bootstrap_engines import build_detector
from core.domain_watching import Level
from core.monitoring.examine import ArrivedTable, Findings, History, examine
from core.monitoring.report import Topic
from core.params_monitoring import MonitoringParams
from core.problems.contract import Contract, Field, FieldType, Label
from tests.unit.check_values import POLICY

pytestmark = pytest.mark.filterwarnings("ignore")
KINDS = {
    "car_value": FieldType.NUMBER,
    "salary_range": FieldType.CATEGORY,
    "debt_to_income_ratio": FieldType.NUMBER,
    "loan_length": FieldType.NUMBER,
    "repaid_loan_on_prev_car": FieldType.CATEGORY,
    "size_of_downpayment": FieldType.CATEGORY,
    "driver_tenure": FieldType.NUMBER,
}
CONTRACT = Contract(
    fields=tuple(Field(name, kind, name, 1, nullable=True) for name, kind in KINDS.items()),
    label=Label("repaid", 1, 0, "repaid", "not repaid"),
)
#: Fewer rows than the data has, so that the module takes seconds.
SMALL = POLICY.model_copy(update={"sample_rows": 8000})


@cache
def _bundled(name: str) -> pa.Table:
    spec = find_spec("nannyml")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "datasets" / "data"
    return pa_csv.read_csv(folder / f"synthetic_car_loan_{name}.csv")


@cache
def _reference() -> pa.Table:
    return _rows(_bundled("reference"), _bundled("reference").column("repaid"))


@cache
def _analysis() -> pa.Table:
    return _rows(_bundled("analysis"), _bundled("analysis_target").column("repaid"))


def _rows(table: pa.Table, label: pa.ChunkedArray) -> pa.Table:
    columns: dict[str, Any] = {
        name: table.column(name).cast(pa.float64() if kind.is_numeric else pa.string())
        for name, kind in KINDS.items()
    }
    columns["probability"] = table.column("y_pred_proba").cast(pa.float64())
    columns["label"] = label.cast(pa.float64())
    return pa.table(columns)


def _examined(
    rows: pa.Table, reference: pa.Table | None = None, params: MonitoringParams = SMALL
) -> Findings:
    return examine(
        "c" * 32,
        CONTRACT,
        _reference() if reference is None else reference,
        ArrivedTable(rows),
        0.5,
        History(),
        params,
        build_detector,
        lambda percent, message: None,
    )


def test_the_first_half_is_found_sound() -> None:
    found = _examined(_analysis().slice(5000, 5000))
    assert found.verdict.level is Level.OK, found.verdict.summary
    assert max(drift.psi or 0 for drift in found.compared.features) < 0.05
    assert found.estimator is not None
    assert found.estimator.trusted
    assert found.notes == ()


def test_the_second_half_is_found_to_drift_before_labels_exist() -> None:
    rows = _analysis().slice(30_000, 5000).drop_columns(["label"])
    found = _examined(rows, params=POLICY)
    assert found.verdict.level is Level.CRITICAL
    worst = found.compared.features[0]
    assert (worst.column, worst.rank, worst.level) == ("car_value", 1, Level.CRITICAL)
    assert all(method.alert for method in worst.methods)
    assert all(worst.methods[0].chunk_alerts[-10:])
    assert found.reconstruction is not None
    assert found.reconstruction.alert
    (judging, *_) = found.performance
    assert judging.estimated is not None
    assert judging.estimated.value == pytest.approx(0.961, abs=0.004)
    assert judging.realized is None
    (loss,) = found.verdict.of(Topic.ESTIMATED_LOSS)
    assert loss.level is Level.WARNING
    series = [worst.methods[0].chunk_values, judging.estimated.chunk_lows]
    assert {len(values) for values in series} == {len(found.chunks)}


def test_labels_show_what_the_estimate_is_worth() -> None:
    found = _examined(_analysis().slice(30_000, 5000), params=POLICY)
    (judging, *_) = found.performance
    assert judging.realized is not None
    assert judging.realized.value == pytest.approx(0.9585, abs=0.002)
    assert found.estimator is not None
    (own,) = found.estimator.past
    assert abs(own.error) < 0.01
    assert found.verdict.of(Topic.REALIZED_LOSS)[0].level is Level.WARNING


def test_a_few_labels_are_too_few() -> None:
    rows = _analysis().slice(0, 1000)
    label = pa.array([1.0, 0.0] * 10 + [None] * 980, pa.float64())
    found = _examined(rows.set_column(rows.num_columns - 1, "label", label))
    realized = found.performance[0].realized
    assert realized is not None
    assert (realized.value, realized.rows) == (None, 20)
    assert realized.note == "not enough labels (20 of 100)"


def test_a_domain_classifier_is_trained_when_asked() -> None:
    asked = SMALL.model_copy(
        update={
            "sample_rows": 1000,
            "drift": SMALL.drift.model_copy(update={"domain_classifier": True}),
            "chunks": SMALL.chunks.model_copy(update={"number": 1}),
        }
    )
    found = _examined(_analysis().slice(30_000, 2000), params=asked)
    assert found.domain_classifier is not None
    assert found.domain_classifier.alert
    assert (found.domain_classifier.value or 0) > 0.65
    assert len(found.domain_classifier.chunk_values) == len(found.chunks)


def test_miscalibrated_probabilities_are_measured_and_recalibrated() -> None:
    reference = _reference()
    squeezed = np.sqrt(reference.column("probability").to_numpy())
    place = reference.schema.get_field_index("probability")
    distorted = reference.set_column(place, "probability", pa.array(squeezed))
    found = _examined(_analysis().slice(0, 2000), distorted)
    assert found.estimator is not None
    calibration = found.estimator.calibration
    assert calibration is not None
    assert calibration.recalibrated
    assert calibration.error_before > 2 * calibration.error_after


def _with(rows: pa.Table, **columns: Any) -> pa.Table:
    for name, values in columns.items():
        place = rows.schema.get_field_index(name)
        kind = rows.schema.field(name).type
        rows = rows.set_column(place, name, pa.array(values, kind))
    return rows


def _few(table: pa.Table, rows: int) -> pa.Table:
    return table.slice(0, rows)


class TestNothingBreaksACheck:
    @pytest.mark.parametrize("rows", [50, 51, 60, 3000])
    def test_few_rows(self, rows: int) -> None:
        unlabelled = _few(_analysis(), rows).drop_columns(["label"])
        found = _examined(unlabelled, _few(_reference(), 700))
        assert found.verdict.level in (Level.OK, Level.WARNING), found.verdict.summary

    def test_too_few_rows_load_nothing(self) -> None:
        for rows in (0, 2, 49):
            found = _examined(_few(_analysis(), rows), _few(_reference(), 700))
            assert found.verdict.summary == f"not enough data ({rows} of 50)."
            assert found.chunks == ()
            assert len(found.compared.features) == len(KINDS)

    def test_columns_without_values_or_with_one(self) -> None:
        then, now = _few(_reference(), 1000), _few(_analysis(), 300)
        then = _with(then, car_value=[None] * 1000, salary_range=[None] * 1000)
        then = _with(then, loan_length=[5.0] * 1000, size_of_downpayment=["10%"] * 1000)
        now = _with(now, driver_tenure=[None] * 300, repaid_loan_on_prev_car=[None] * 300)
        now = _with(now, loan_length=[7.0] * 300)
        found = _examined(now, then)
        assert "car_value: the reference has no values" in found.notes
        assert "driver_tenure: no values arrived" in found.notes
        assert found.verdict.level is Level.CRITICAL
        drifted = {drift.column for drift in found.compared.features if drift.level is not Level.OK}
        assert {"loan_length", "driver_tenure", "repaid_loan_on_prev_car"} <= drifted
        assert found.reconstruction is not None
        assert found.reconstruction.value is not None

    def test_unseen_categories(self) -> None:
        now = _with(_few(_analysis(), 500), salary_range=["new"] * 250 + [None] * 250)
        found = _examined(now, _few(_reference(), 2000))
        (quality,) = [one for one in found.compared.quality if one.column == "salary_range"]
        assert (quality.unseen_rows, quality.missing_analysis) == (250, 250)
        assert found.verdict.level is Level.CRITICAL
        assert found.reconstruction is not None
        assert found.reconstruction.value is not None

    @pytest.mark.parametrize("label", [0.0, 1.0])
    def test_one_class_among_the_labels(self, label: float) -> None:
        now = _with(_few(_analysis(), 500), label=[label] * 500)
        found = _examined(now, _few(_reference(), 2000))
        assert found.performance[0].estimated is not None
        assert found.performance[0].estimated.value is not None
        realized = found.performance[0].realized
        assert realized is None or realized.value is None

    def test_one_class_in_the_reference(self) -> None:
        then = _with(_few(_reference(), 500), label=[1.0] * 500)
        found = _examined(_few(_analysis(), 500), then)
        assert found.performance == ()
        assert "rarer label" in " ".join(found.notes)

    def test_one_probability_for_all(self) -> None:
        now = _with(_few(_analysis(), 500), probability=[0.5] * 500)
        found = _examined(now, _few(_reference(), 2000))
        assert found.compared.prediction.level is Level.CRITICAL
