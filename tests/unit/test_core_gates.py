"""What a candidate must reach: every gate, every verdict, and where one becomes the other."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.domain import GateResult, Verdict
from core.params import load_params
from core.promotion.evidence import Difference, Evidence, Parity, RowsComparison, RowSet
from core.promotion.evidence_costs import Costs
from core.promotion.gates import (
    AUC,
    CALIBRATION,
    CLASSES,
    CONTRACT,
    COST,
    LATENCY,
    LEAK,
    PARITY,
    SLICES,
    Limits,
    hard_failures,
    judge,
    soft_reservations,
)
from core.promotion.verdicts import auc_verdict, loss_verdict, rise_verdict, worst
from core.settings import CODE_ROOT
from tests.unit.evidence_values import (
    FINGERPRINT,
    class_rates,
    comparison,
    cost,
    difference,
    evidence_of,
    identity,
    judged,
    latency,
    slice_rates,
    timed,
    with_both,
)

POLICY = load_params(CODE_ROOT / "params.yaml").promotion
LIMITS = Limits(
    policy=POLICY,
    parity_tolerance=1e-5,
    contract_fingerprint=FINGERPRINT,
    leaky=("boat", "taste"),
)
PASS, FAIL, CANNOT_TELL = Verdict.PASS, Verdict.FAIL, Verdict.CANNOT_TELL
#: From best to worst.
ORDER = [PASS, CANNOT_TELL, FAIL]
HARD = (PARITY, CONTRACT, LEAK)

numbers = st.floats(-1, 1, allow_nan=False)
spreads = st.floats(0, 0.5, allow_nan=False)


def gate(name: str, evidence: Evidence, limits: Limits = LIMITS) -> GateResult:
    (found,) = [one for one in judge(evidence, limits) if one.gate == name]
    return found


def limits(**changed: object) -> Limits:
    return replace(LIMITS, policy=POLICY.model_copy(update=changed))


class TestAll:
    def test_a_candidate_that_reaches_everything_passes_every_gate(self) -> None:
        gates = judge(evidence_of(), limits(core_seconds=500.0))
        assert [one.gate for one in gates] == [
            *(PARITY, CONTRACT, LEAK),
            *(AUC, CLASSES, SLICES, CALIBRATION, LATENCY, COST),
        ]
        assert {one.verdict for one in gates} == {PASS}
        assert [one.gate for one in gates if one.hard] == list(HARD)
        assert hard_failures(gates) == soft_reservations(gates) == ()
        assert all(one.reason.endswith(".") for one in gates)

    def test_without_a_budget_cost_is_no_gate(self) -> None:
        assert COST not in [one.gate for one in judge(evidence_of(), LIMITS)]

    def test_what_does_not_pass_is_told_apart_by_hardness(self) -> None:
        broken = evidence_of(
            parity=None, candidate=identity(4, contract_fingerprint="other"), latency=None
        )
        gates = judge(broken, LIMITS)
        assert [one.gate for one in hard_failures(gates)] == [PARITY, CONTRACT]
        assert [one.gate for one in soft_reservations(gates)] == [LATENCY]

    def test_with_nothing_in_production_soft_gates_cannot_tell(self) -> None:
        alone = evidence_of(
            incumbent=None,
            comparisons=tuple(
                RowsComparison(rows_of=one, rows=0, positives=0, available_rows=0, note="None.")
                for one in RowSet
            ),
            judged=None,
            latency=timed(latency(), None),
        )
        found = {one.gate: one.verdict for one in judge(alone, LIMITS)}
        assert [name for name, verdict in found.items() if verdict is CANNOT_TELL] == [
            *(AUC, CLASSES, SLICES, CALIBRATION)
        ]
        assert FAIL not in found.values()


class TestParity:
    @pytest.mark.parametrize(
        ("spark", "served", "verdict"),
        [
            (0.0, 0.0, PASS),
            (1e-5, 0.0, PASS),
            (6e-6, 4e-6, PASS),
            (1.0001e-5, 0.0, FAIL),
            (6e-6, 5e-6, FAIL),
            (0.0, 1.0, FAIL),
        ],
    )
    def test_both_differences_count(self, spark: float, served: float, verdict: Verdict) -> None:
        parity = Parity(
            spark_rows=10, spark_difference=spark, served_rows=5, served_difference=served
        )
        found = gate(PARITY, evidence_of(parity=parity))
        assert (found.verdict, found.limit) == (verdict, 1e-5)
        assert found.measured == spark + served

    def test_what_cannot_be_compared_does_not_pass(self) -> None:
        assert gate(PARITY, evidence_of(parity=None)).verdict is CANNOT_TELL


@pytest.mark.parametrize(
    ("fingerprint", "verdict"), [(FINGERPRINT, PASS), ("other", FAIL), ("", CANNOT_TELL)]
)
def test_contract(fingerprint: str, verdict: Verdict) -> None:
    found = gate(CONTRACT, evidence_of(candidate=identity(4, contract_fingerprint=fingerprint)))
    assert found.verdict is verdict


@pytest.mark.parametrize(
    ("inputs", "verdict"),
    [
        (("weight", "colour"), PASS),
        (("weight", "boat"), FAIL),
        (("taste",), FAIL),
        (("boats",), PASS),
        ((), CANNOT_TELL),
    ],
)
def test_leak(inputs: tuple[str, ...], verdict: Verdict) -> None:
    found = gate(LEAK, evidence_of(candidate=identity(4, inputs=inputs)))
    assert found.verdict is verdict
    if verdict is FAIL:
        assert inputs[-1] in found.reason


class TestAuc:
    @pytest.mark.parametrize(
        ("low", "high", "margin", "verdict"),
        [
            (0.006, 0.02, 0.005, PASS),
            (0.005, 0.02, 0.005, PASS),
            (0.0049, 0.02, 0.005, CANNOT_TELL),
            (-0.02, 0.005, 0.005, CANNOT_TELL),
            (-0.02, 0.0049, 0.005, FAIL),
            # Equal models: as good is enough where nothing more is asked.
            (0.0, 0.0, 0.0, PASS),
            (0.0, 0.0, 0.005, FAIL),
            (-1e-16, 1e-16, 0.0, PASS),
            # As in tests that let a worse candidate through.
            (-0.4, -0.3, -0.5, PASS),
            (-0.6, -0.55, -0.5, FAIL),
        ],
    )
    def test_the_whole_interval_has_to_be_on_one_side(
        self, low: float, high: float, margin: float, verdict: Verdict
    ) -> None:
        found = gate(AUC, with_both(comparison(low, high)), limits(auc_margin=margin))
        assert (found.verdict, found.limit) == (verdict, margin)
        assert found.measured == pytest.approx((low + high) / 2)

    @pytest.mark.parametrize(("positives", "verdict"), [(24, CANNOT_TELL), (25, PASS)])
    def test_few_rows_of_a_class_cannot_tell(self, positives: int, verdict: Verdict) -> None:
        for found in (
            gate(AUC, with_both(comparison(positives=positives))),
            gate(AUC, with_both(comparison(positives=200 - positives))),
        ):
            assert found.verdict is verdict
            assert (f"{positives} rows of the rarer class" in found.reason) is (positives == 24)

    def test_no_rows_cannot_tell_and_say_why(self) -> None:
        none = comparison().model_copy(update={"difference": None, "note": "No row in common."})
        found = gate(AUC, with_both(none))
        assert (found.verdict, found.reason) == (CANNOT_TELL, "No row in common.")

    @given(value=numbers, spread=spreads, shift=st.floats(0, 1), margin=numbers)
    @settings(deadline=None)
    def test_a_better_candidate_never_fares_worse(
        self, value: float, spread: float, shift: float, margin: float
    ) -> None:
        less, more = difference(value, spread), difference(value + shift, spread)
        assert ORDER.index(auc_verdict(more, margin)) <= ORDER.index(auc_verdict(less, margin))

    @given(value=numbers, spread=spreads, margin=numbers, harder=st.floats(0, 1))
    @settings(deadline=None)
    def test_a_larger_margin_is_never_easier(
        self, value: float, spread: float, margin: float, harder: float
    ) -> None:
        found = difference(value, spread)
        lenient, strict = auc_verdict(found, margin), auc_verdict(found, margin + harder)
        assert ORDER.index(lenient) <= ORDER.index(strict)

    @given(value=numbers, spread=spreads, wider=spreads, margin=numbers)
    @settings(deadline=None)
    def test_more_doubt_only_ever_leads_to_cannot_tell(
        self, value: float, spread: float, wider: float, margin: float
    ) -> None:
        sure = auc_verdict(difference(value, spread), margin)
        unsure = auc_verdict(difference(value, spread + wider), margin)
        assert unsure in (sure, CANNOT_TELL)


class TestLosses:
    @pytest.mark.parametrize(
        ("value", "spread", "verdict"),
        [
            (0.1, 0.01, PASS),
            (0.0, 0.5, PASS),
            (-0.05, 0.5, PASS),
            (-0.05 - 1e-15, 0.0, PASS),
            (-0.06, 0.07, CANNOT_TELL),
            (-0.06, 0.06, CANNOT_TELL),
            (-0.06, 0.05, FAIL),
            (-1.0, 0.0, FAIL),
        ],
    )
    def test_a_loss_fails_where_it_is_too_much_and_more_than_chance(
        self, value: float, spread: float, verdict: Verdict
    ) -> None:
        found = difference(value, spread)
        assert loss_verdict(found, 0.05) is verdict
        mirrored = Difference(value=-found.value, low=-found.high, high=-found.low)
        assert rise_verdict(mirrored, 0.05) is verdict

    @given(value=numbers, spread=spreads, loss=st.floats(0, 1), most=st.floats(0, 1))
    @settings(deadline=None)
    def test_a_larger_loss_never_fares_better(
        self, value: float, spread: float, loss: float, most: float
    ) -> None:
        less, more = (loss_verdict(difference(v, spread), most) for v in (value, value - loss))
        assert ORDER.index(less) <= ORDER.index(more)

    @given(st.lists(st.sampled_from(ORDER), min_size=1), st.sampled_from(ORDER))
    @settings(deadline=None)
    def test_one_more_verdict_never_makes_the_whole_better(
        self, some: list[Verdict], one_more: Verdict
    ) -> None:
        assert ORDER.index(worst([*some, one_more])) >= ORDER.index(worst(some))

    def test_of_nothing_nothing_can_be_told(self) -> None:
        assert worst([]) is CANNOT_TELL

    @pytest.mark.parametrize("verdict", ORDER)
    def test_the_worst_class_decides(self, verdict: Verdict) -> None:
        classes = (class_rates(True), class_rates(False, verdict))
        found = gate(CLASSES, evidence_of(judged=judged(classes=classes)))
        assert (found.verdict, found.limit) == (verdict, POLICY.class_loss)
        assert found.measured == pytest.approx(0.02)
        assert ("class sour" in found.reason) is (verdict is not PASS)

    def test_the_worst_slices_are_named(self) -> None:
        names = "abcde"
        slices = tuple(slice_rates(name, -0.2 - i / 100, FAIL) for i, name in enumerate(names))
        found = gate(SLICES, evidence_of(judged=judged(slices=slices)))
        assert found.verdict is FAIL
        assert found.measured == pytest.approx(0.24)
        assert found.reason == (
            "Of 5 slices, 5 lost more than 0.1, beyond chance (colour e: recall −0.240, 60 rows; "
            "colour d: recall −0.230, 60 rows; colour c: recall −0.220, 60 rows)."
        )

    def test_slices_that_are_too_small_decide_nothing(self) -> None:
        small = slice_rates("green", -0.9, CANNOT_TELL, too_small=True)
        found = gate(SLICES, evidence_of(judged=judged(slices=(slice_rates(), small))))
        assert found.verdict is PASS
        assert found.reason.endswith("; 1 slice too small to tell.")

    def test_small_slices_alone_cannot_tell(self) -> None:
        small = slice_rates("green", 0.0, CANNOT_TELL, too_small=True)
        assert gate(SLICES, evidence_of(judged=judged(slices=(small,)))).verdict is CANNOT_TELL
        assert gate(SLICES, evidence_of(judged=judged(slices=()))).verdict is CANNOT_TELL

    def test_without_a_threshold_the_rates_cannot_tell_and_say_why(self) -> None:
        for name in (CLASSES, SLICES, CALIBRATION):
            found = gate(name, evidence_of(judged=None))
            assert found.verdict is CANNOT_TELL
            assert "threshold" in found.reason


@pytest.mark.parametrize(
    ("rise", "spread", "verdict"),
    [
        (-0.1, 0.0, PASS),
        (0.02, 0.0, PASS),
        (0.03, 0.03, CANNOT_TELL),
        (0.03, 0.02, FAIL),
    ],
)
def test_calibration(rise: float, spread: float, verdict: Verdict) -> None:
    made = judged().calibration.model_copy(update={"difference": difference(rise, spread)})
    found = gate(CALIBRATION, evidence_of(judged=judged(calibration=made)))
    assert (found.verdict, found.measured, found.limit) == (verdict, rise, 0.02)


class TestLatency:
    @pytest.mark.parametrize(
        ("mine", "other", "verdict", "limit"),
        [
            # Fast enough in any case, however fast the incumbent is.
            (latency(2.0), latency(0.01), PASS, 2.0),
            (latency(2.01), latency(0.01), FAIL, 2.0),
            # On a machine so slow, twice the incumbent is allowed.
            (latency(6.0), latency(3.0), PASS, 6.0),
            (latency(6.1), latency(3.0), FAIL, 6.0),
            (latency(0.05, 51.0), latency(0.05, 4.0), FAIL, 50.0),
            (latency(0.05, 51.0), latency(0.05, 40.0), PASS, 80.0),
            # Whatever takes more of its budget is told.
            (latency(1.0, 49.0), latency(), PASS, 50.0),
            (latency(1.9, 4.0), latency(), PASS, 2.0),
            (latency(2.0), None, PASS, 2.0),
            (latency(2.01), None, CANNOT_TELL, 2.0),
        ],
    )
    def test_the_budget_grows_with_what_the_incumbent_takes(
        self, mine: object, other: object, verdict: Verdict, limit: float
    ) -> None:
        found = gate(LATENCY, evidence_of(latency=timed(mine, other)))  # type: ignore[arg-type]
        assert (found.verdict, found.limit) == (verdict, limit)

    def test_what_was_not_timed_cannot_be_told(self) -> None:
        assert gate(LATENCY, evidence_of(latency=None)).verdict is CANNOT_TELL

    @given(
        mine=st.floats(0.01, 100), slower=st.floats(0, 100), other=st.none() | st.floats(0.01, 100)
    )
    @settings(deadline=None)
    def test_a_slower_candidate_never_fares_better(
        self, mine: float, slower: float, other: float | None
    ) -> None:
        beside = None if other is None else latency(other)
        fast, slow = (
            gate(LATENCY, evidence_of(latency=timed(latency(ms), beside))).verdict
            for ms in (mine, mine + slower)
        )
        assert ORDER.index(fast) <= ORDER.index(slow)


@pytest.mark.parametrize(("spent", "verdict"), [(500.0, PASS), (500.1, FAIL), (None, CANNOT_TELL)])
def test_cost(spent: float | None, verdict: Verdict) -> None:
    costs = Costs(candidate=cost(spent), incumbent=None)
    found = gate(COST, evidence_of(costs=costs), limits(core_seconds=500.0))
    assert (found.verdict, found.measured, found.limit) == (verdict, spent, 500.0)
