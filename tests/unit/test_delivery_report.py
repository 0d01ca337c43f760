"""The report of a delivery: what a reader of the pull request sees."""

from __future__ import annotations

import pytest

from core.delivery.markdown import HEADING, POINTS, Judged, delivery_report, even
from core.delivery.thresholds import Limits, judge
from core.training.report import Curve
from tests.unit.core_fakes import report_of

LIMITS = Limits(1e-5, {"auc": 0.8}, auc_loss=0.01, class_loss=0.05)


def _judged(auc: float, earlier: float | None = None, findings: tuple[str, ...] = ()) -> Judged:
    now, then = report_of(auc), None if earlier is None else report_of(earlier)
    return Judged(now, then, judge(now, then, LIMITS), findings)


def test_it_says_what_was_made_and_against_what() -> None:
    text = delivery_report([_judged(0.85, 0.8)], "abc", "main")
    assert text.startswith(f"{HEADING}\n\nCommit `abc`, compared with `main`.\n")
    assert "### ✅ plums" in text
    assert "| AUC | 0.8000 | 0.8500 | 0.8000 to 0.9000 | +0.0500 |" in text
    assert "| ✅ | AUC | AUC is 0.8500 on 20 rows of the holdout; at least 0.8 is asked. |" in text
    assert "| is positive | 8 | 2 |" in text
    assert text.endswith("\n")


def test_without_an_earlier_commit_nothing_is_made_up() -> None:
    text = delivery_report([_judged(0.85)], "abc", "")
    assert "Commit `abc`." in text
    assert "| AUC | – | 0.8500 | 0.8000 to 0.9000 | – |" in text
    assert "the second the earlier one" not in text
    assert text.count("  line [") == 2


def test_a_failure_is_seen_at_once() -> None:
    one = _judged(0.7, 0.85)
    assert not one.passes
    text = delivery_report([_judged(0.85), one], "abc", "main")
    assert text.index("### ✅ plums") < text.index("### ❌ plums")
    assert "| ❌ | AUC kept | AUC has changed by −0.1500; a loss of 0.01 is allowed. |" in text


def test_what_the_soft_rules_found_is_told() -> None:
    text = delivery_report([_judged(0.85, findings=("stones: unusual, 3 rows",))], "abc", "")
    assert "Soft rules of the contract:\n\n- stones: unusual, 3 rows" in text


def test_each_chart_has_a_line_a_commit() -> None:
    text = delivery_report([_judged(0.85, 0.8)], "abc", "main")
    charts = [part.split("```")[0] for part in text.split("```mermaid\n")[1:]]
    assert [chart.count("  line [") for chart in charts] == [2, 2]
    for chart in charts:
        assert chart.startswith("xychart-beta\n")
        for line in chart.splitlines():
            if line.startswith("  line ["):
                heights = [float(value) for value in line[8:-1].split(",")]
                assert len(heights) == POINTS
                assert all(0 <= height <= 1 for height in heights)


@pytest.mark.parametrize(
    ("curve", "heights"),
    [
        (Curve(x=(0.0, 1.0), y=(0.0, 1.0)), (0.0, 0.5, 1.0)),
        # Straight up at 0, then level: the highest of several points at one x.
        (Curve(x=(0.0, 0.0, 1.0), y=(0.0, 0.8, 0.8)), (0.8, 0.8, 0.8)),
        # From recall 1 down, as a curve of precision and recall may be given.
        (Curve(x=(1.0, 0.5), y=(0.2, 0.6)), (0.6, 0.6, 0.2)),
    ],
)
def test_heights_are_evenly_spaced(curve: Curve, heights: tuple[float, ...]) -> None:
    assert even(curve, 3) == pytest.approx(heights)
