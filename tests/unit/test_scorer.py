from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from core.problems.contract import FieldType
from core.problems.titanic import PROBLEM as TITANIC
from core.scoring.export_trees import float32_not_above
from core.scoring.generate import UNSEEN, generate_records
from core.scoring.parity import compare
from core.scoring.scorer import Scorer
from tests.problems.orchard import PROBLEM as ORCHARD

ROWS = 4000


def tiny_model() -> bytes:
    """1 where Sex is missing, otherwise FarePerPerson; NaN counts as 0.25."""
    nodes = [
        helper.make_node(
            "LabelEncoder",
            ["Sex"],
            ["missing"],
            domain="ai.onnx.ml",
            keys_strings=[""],
            values_int64s=[1],
            default_int64=0,
        ),
        helper.make_node("IsNaN", ["FarePerPerson"], ["nan"]),
        helper.make_node("Where", ["nan", "quarter", "FarePerPerson"], ["fare"]),
        helper.make_node("Cast", ["missing"], ["is_missing"], to=TensorProto.BOOL),
        helper.make_node("Where", ["is_missing", "one", "fare"], ["chosen"]),
        helper.make_node("Cast", ["chosen"], ["wide"], to=TensorProto.DOUBLE),
        helper.make_node("Reshape", ["wide", "flat"], ["probability"]),
    ]
    constants = [
        helper.make_tensor("quarter", TensorProto.FLOAT, [], [0.25]),
        helper.make_tensor("one", TensorProto.FLOAT, [], [1.0]),
        helper.make_tensor("flat", TensorProto.INT64, [1], [-1]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info("Sex", TensorProto.STRING, ["rows", 1]),
            helper.make_tensor_value_info("FarePerPerson", TensorProto.FLOAT, ["rows", 1]),
        ],
        [helper.make_tensor_value_info("probability", TensorProto.DOUBLE, ["rows"])],
        constants,
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def test_scorer_derives_features_and_passes_missing_values() -> None:
    columns = {
        "Pclass": np.array([1.0, 2.0, 3.0]),
        "Sex": np.array(["male", None, "female"], dtype=object),
        "Age": np.array([np.nan, 1.0, 2.0]),
        "SibSp": np.array([1.0, 0.0, 0.0]),
        "Parch": np.array([2.0, 0.0, 0.0]),
        "Fare": np.array([0.5, 0.75, np.nan]),
        "Embarked": np.array(["S", None, "C"], dtype=object),
        "Title": np.array(["Mr", None, "Mrs"], dtype=object),
        "Deck": np.array([None, None, "B"], dtype=object),
    }
    probabilities = Scorer(TITANIC, tiny_model()).probabilities(columns)
    assert probabilities.dtype == np.float64
    assert probabilities.tolist() == [0.125, 1.0, 0.25]


def test_scorer_takes_one_record_and_a_generated_thousand() -> None:
    scorer = Scorer(TITANIC, tiny_model())
    assert scorer.probabilities(generate_records(TITANIC, 1, seed=1)).shape == (1,)
    assert scorer.probabilities(generate_records(TITANIC, 1000, seed=1)).shape == (1000,)


@pytest.mark.parametrize("problem", [TITANIC, ORCHARD], ids=lambda problem: problem.name)
def test_generated_records_obey_the_hard_rules(problem) -> None:
    columns = generate_records(problem, ROWS, seed=5)
    assert tuple(columns) == problem.contract.names
    for field in problem.contract.fields:
        values = columns[field.name]
        assert values.shape == (ROWS,)
        if field.type is FieldType.CATEGORY:
            missing = values == None  # noqa: E711 - elementwise on objects
            given = values[~missing]
            assert all(type(value) is str and value for value in given)
        else:
            assert values.dtype == np.float64
            missing = np.isnan(values)
            given = values[~missing]
            assert np.isfinite(given).all()
            assert field.minimum is None or given.min() >= field.minimum
            assert field.maximum is None or given.max() <= field.maximum
            if field.type is FieldType.INTEGER:
                assert (given == np.round(given)).all()
        assert missing.any() == field.nullable


def test_generated_records_hold_bounds_unusual_values_and_unseen_categories() -> None:
    columns = generate_records(TITANIC, ROWS, seed=5)
    age = columns["Age"]
    assert {0.0, 80.0, 130.0, 22.0} <= set(age.tolist())
    assert 0.01 < np.mean(age > 80) < 0.2
    assert set(columns["Sex"]) == {"male", "female", *UNSEEN}
    assert np.isin(columns["Sex"].astype(str), ["male", "female"]).mean() > 0.8


def test_generated_records_follow_the_seed() -> None:
    first, again, other = (generate_records(ORCHARD, 50, seed) for seed in (1, 1, 2))
    for name in ORCHARD.contract.names:
        np.testing.assert_array_equal(first[name], again[name])
    assert any(first[name].tolist() != other[name].tolist() for name in ORCHARD.contract.names)


@pytest.mark.parametrize(
    "value", [0.1, -0.1, 0.5, 0.0, 16777217.0, -16777217.0, 1e-50, -1e-50, 3.5e38, -3.5e38]
)
def test_threshold_is_the_largest_float32_not_above(value: float) -> None:
    limit = np.float32(float32_not_above(value))
    assert float(limit) <= value
    with np.errstate(over="ignore"):
        following = np.nextafter(limit, np.float32(np.inf))
    assert float(following) > value


def test_comparison_tells_the_largest_difference() -> None:
    result = compare(np.array([0.1, 0.5, 0.9]), np.array([0.1, 0.75, 0.8]), 1e-5)
    assert (result.rows, result.max_difference, result.tolerance) == (3, 0.25, 1e-5)
    assert compare(np.array([0.5]), np.array([0.5]), 1e-5).max_difference == 0.0


@pytest.mark.parametrize("other", [0.5, np.nan])
def test_a_probability_that_is_no_number_never_agrees(other: float) -> None:
    result = compare(np.array([0.5, np.nan]), np.array([0.5, other]), 1e-5)
    assert result.max_difference == 1.0


@pytest.mark.parametrize("rows", [(0, 0), (2, 3)])
def test_a_comparison_needs_as_many_of_both(rows: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="cannot compare"):
        compare(np.zeros(rows[0]), np.zeros(rows[1]), 1e-5)
