"""How a canary goes up: every guard in every verdict, every wait, and what is decided of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.deployment.load import LEAST_REQUESTS
from core.rollout.deciding import decide
from core.rollout.guards import (
    ERROR_RATE,
    ESTIMATED_PERFORMANCE,
    LOADS,
    P95_LATENCY,
    PREDICTIONS,
    judge_guards,
    merge_bins,
    wilson_low,
)
from core.rollout.notes import VersionNotes
from core.rollout.steps import Guard, GuardVerdict, Move, StepDecision, StepMeasures
from core.rollout.values import Rollout
from tests.unit.rollout_values import (
    AT,
    CANARY,
    HELD,
    NOTHING,
    estimates_of,
    later,
    measures_of,
    notes_of,
    rollout_of,
)

OK, FAILED = GuardVerdict.OK, GuardVerdict.FAILED
UNSURE, CANNOT_TELL = GuardVerdict.UNSURE, GuardVerdict.CANNOT_TELL
BAKE_S = CANARY.bake_s
FIRST, LAST = rollout_of(), rollout_of(step=2)


def _guard(name: str, measures: StepMeasures, rollout: Rollout = FIRST) -> Guard:
    (found,) = (one for one in judge_guards(CANARY, rollout, measures) if one.name == name)
    return found


def _decided(
    measures: StepMeasures | None = None, rollout: Rollout = FIRST, after_s: float = BAKE_S
) -> StepDecision:
    return decide(CANARY, rollout, measures or measures_of(), later(after_s))


class TestLoads:
    def test_a_version_that_cannot_be_loaded_fails(self) -> None:
        found = _guard(LOADS, measures_of(failure="Its model is damaged."))
        assert found.verdict is FAILED
        assert found.reason == "v5 cannot be loaded: Its model is damaged."
        assert _guard(LOADS, measures_of()).verdict is OK


class TestErrorRate:
    @pytest.mark.parametrize(
        ("answered", "failed", "verdict"),
        [
            (1000, 0, OK),
            (990, 10, OK),
            # Two in a hundred may be chance, twenty in a thousand is not.
            (98, 2, UNSURE),
            (980, 20, FAILED),
            (0, 1, FAILED),
            (39, 1, UNSURE),
            (0, 0, CANNOT_TELL),
        ],
    )
    def test_against_a_version_without_failures(
        self, answered: int, failed: int, verdict: GuardVerdict
    ) -> None:
        assert _guard(ERROR_RATE, measures_of(notes_of(answered, failed))).verdict is verdict

    def test_what_production_fails_as_well_is_allowed(self) -> None:
        new, old = notes_of(950, 50), notes_of(9500, 500)
        found = _guard(ERROR_RATE, measures_of(new, old))
        assert (found.verdict, found.measured, found.limit) == (
            OK,
            pytest.approx(0.05),
            pytest.approx(0.06),
        )
        assert found.reason == (
            "5 % of 1,000 requests to v5 failed, against 5 % of 10,000 to v4; up to 6 % is allowed."
        )

    def test_in_the_last_step_what_it_failed_before_counts(self) -> None:
        new, before = notes_of(950, 50), notes_of(9500, 500)
        assert _guard(ERROR_RATE, measures_of(new, NOTHING, before), LAST).verdict is OK
        # A version that nobody has asked failed nothing.
        assert _guard(ERROR_RATE, measures_of(new, NOTHING), LAST).verdict is FAILED

    def test_all_of_many_failed(self) -> None:
        found = _guard(ERROR_RATE, measures_of(notes_of(0, 150)))
        assert found.reason.startswith("100 % of 150 requests to v5 failed")

    @pytest.mark.parametrize(
        ("hits", "total", "low"), [(0, 50, 0.0), (1, 10, 0.0226), (5, 100, 0.0248), (3, 3, 0.5259)]
    )
    def test_the_bound_is_wilsons(self, hits: int, total: int, low: float) -> None:
        assert wilson_low(hits, total) == pytest.approx(low, abs=5e-4)


class TestP95Latency:
    @pytest.mark.parametrize(
        ("new", "verdict"),
        [
            (notes_of(each_s=0.004), OK),
            # Five milliseconds more are always allowed, five hundredths of a second are not.
            (notes_of(each_s=0.0075), OK),
            (notes_of(each_s=0.05), FAILED),
            (notes_of(99, each_s=0.05), UNSURE),
            (notes_of(LEAST_REQUESTS - 1, each_s=0.05), CANNOT_TELL),
            (NOTHING, CANNOT_TELL),
        ],
    )
    def test_against_four_milliseconds(self, new: VersionNotes, verdict: GuardVerdict) -> None:
        assert _guard(P95_LATENCY, measures_of(new)).verdict is verdict

    def test_a_slow_version_may_be_slower_by_its_factor(self) -> None:
        new, old = notes_of(each_s=0.28), notes_of(9000, each_s=0.19)
        found = _guard(P95_LATENCY, measures_of(new, old))
        assert found.verdict is OK
        assert found.limit == pytest.approx(1.5 * 197.5)
        assert found.measured == pytest.approx(295)

    def test_too_few_of_production_in_the_step_are_those_of_all_steps(self) -> None:
        new, few = notes_of(each_s=0.05), notes_of(LEAST_REQUESTS - 1)
        assert _guard(P95_LATENCY, measures_of(new, few)).verdict is CANNOT_TELL
        assert _guard(P95_LATENCY, measures_of(new, few, notes_of(500))).verdict is FAILED
        slow_before = notes_of(500, each_s=0.05)
        assert _guard(P95_LATENCY, measures_of(new, few, slow_before)).verdict is OK
        # Enough of them are compared, whatever was before.
        assert _guard(P95_LATENCY, measures_of(new, notes_of(20), slow_before)).verdict is FAILED


class TestPredictions:
    def test_equal_predictions(self) -> None:
        found = _guard(PREDICTIONS, measures_of())
        assert (found.verdict, found.measured) == (OK, pytest.approx(0.0, abs=1e-6))

    def test_other_predictions(self) -> None:
        found = _guard(PREDICTIONS, measures_of(notes_of(probability=0.6)))
        assert found.verdict is FAILED
        assert found.limit == CANARY.prediction_psi
        assert "over 1,000 and 9,000 rows; up to 0.3 is allowed." in found.reason

    @pytest.mark.parametrize("shift", [0.05, -0.05])
    def test_one_probability_for_all_that_moves_either_way(self, shift: float) -> None:
        def same(place: float) -> VersionNotes:
            bins = [0] * 100
            bins[int(100 * place)] = 400
            return VersionNotes(requests=400, rows=400, probabilities=tuple(bins))

        measures = measures_of(same(0.5 + shift), same(0.5))
        assert _guard(PREDICTIONS, measures).verdict is FAILED
        assert _guard(PREDICTIONS, measures_of(same(0.5), same(0.5))).verdict is OK

    def test_what_may_be_chance_takes_nothing_back(self) -> None:
        policy = CANARY.model_copy(update={"minimum_rows": 10})
        spread, other = [0] * 100, [0] * 100
        spread[20:30], other[20:30] = [2] * 10, [4, 3, 3, 3, 3, 1, 1, 1, 1, 0]
        new = VersionNotes(requests=20, rows=20, probabilities=tuple(other))
        old = VersionNotes(requests=20, rows=20, probabilities=tuple(spread))
        found = judge_guards(policy, FIRST, measures_of(new, old))[3]
        assert (found.name, found.verdict) == (PREDICTIONS, UNSURE)
        assert "chance alone may bring" in found.reason

    @pytest.mark.parametrize(("new", "old"), [(199, 9000), (1000, 199), (0, 0)])
    def test_too_few_rows(self, new: int, old: int) -> None:
        measures = measures_of(notes_of(new, probability=0.6), notes_of(old))
        found = _guard(PREDICTIONS, measures)
        assert (found.verdict, found.measured) == (CANNOT_TELL, None)

    def test_the_last_step_is_compared_with_those_before(self) -> None:
        moved = measures_of(notes_of(probability=0.6), NOTHING, notes_of(9000))
        assert _guard(PREDICTIONS, moved, LAST).verdict is FAILED
        same = measures_of(notes_of(), NOTHING, notes_of(9000))
        assert _guard(PREDICTIONS, same, LAST).verdict is OK

    @given(st.lists(st.integers(0, 50), min_size=1, max_size=100), st.integers(2, 10))
    def test_groups_of_bins_are_in_order_and_hold_about_equally_many(
        self, rows: list[int], most: int
    ) -> None:
        rows[0] += 1
        groups = merge_bins(rows, most)
        assert list(groups) == sorted(groups)
        assert (min(groups) >= 0, max(groups) < most) == (True, True)
        for group in set(groups):
            of_group = sum(count for at, count in zip(groups, rows, strict=True) if at == group)
            assert of_group <= sum(rows) / most + 2 * max(rows)


class TestEstimatedPerformance:
    @pytest.mark.parametrize(
        ("new", "old", "verdict"),
        [
            (0.84, 0.85, OK),
            (0.90, 0.85, OK),
            (0.79, 0.85, FAILED),
            (None, 0.85, CANNOT_TELL),
            (0.84, None, CANNOT_TELL),
        ],
    )
    def test_against_production(
        self, new: float | None, old: float | None, verdict: GuardVerdict
    ) -> None:
        measures = measures_of(estimates=estimates_of(new, old))
        assert _guard(ESTIMATED_PERFORMANCE, measures).verdict is verdict

    def test_one_of_an_earlier_step_says_nothing(self) -> None:
        measures = measures_of(estimates=estimates_of(0.1, 0.85, step=0))
        assert _guard(ESTIMATED_PERFORMANCE, measures, LAST).verdict is CANNOT_TELL
        assert _guard(ESTIMATED_PERFORMANCE, measures_of()).verdict is CANNOT_TELL

    def test_why_there_is_none_is_said(self) -> None:
        measures = measures_of(estimates=estimates_of(None))
        assert _guard(ESTIMATED_PERFORMANCE, measures).reason == "Too few rows."


class TestSteps:
    def test_a_step_waits_for_its_time(self) -> None:
        for after_s, left_s, said in (
            (0, 300, "10 % for 5 more minutes, then 50 %."),
            (201, 99, "10 % for 99 more seconds, then 50 %."),
            (299.5, 0.5, "10 % for 1 more second, then 50 %."),
        ):
            found = _decided(after_s=after_s)
            assert (found.move, found.seconds_left) == (Move.WAIT, left_s)
            assert found.reason == said
        long = CANARY.model_copy(update={"bake_s": 36_000})
        assert "for 10 more hours" in decide(long, FIRST, measures_of(), AT).reason

    def test_a_step_waits_for_its_requests(self) -> None:
        found = _decided(measures_of(notes_of(12)))
        assert (found.move, found.requests_missing, found.seconds_left) == (Move.WAIT, 88, 0)
        assert found.reason == "12 of 100 requests answered; the step waits for 88 more."

    def test_requests_that_failed_are_none_that_were_answered(self) -> None:
        found = _decided(measures_of(notes_of(99, failed=1)))
        assert (found.move, found.requests_missing) == (Move.WAIT, 1)

    def test_no_traffic_at_all_waits_for_ever(self) -> None:
        found = _decided(measures_of(NOTHING, NOTHING), after_s=1e7)
        assert (found.move, found.requests_missing) == (Move.WAIT, 100)
        assert FAILED not in {one.verdict for one in found.guards}

    def test_an_unsure_guard_waits(self) -> None:
        found = _decided(measures_of(notes_of(148, 3)))
        assert (found.move, found.seconds_left, found.requests_missing) == (Move.WAIT, 0, 0)
        assert "so few requests may exceed it by chance" in found.reason

    def test_it_goes_on(self) -> None:
        found = _decided()
        assert found.move is Move.ADVANCE
        assert found.reason == "10 % has passed, and no guard speaks against v5: 50 % is next."
        assert _decided(rollout=rollout_of(step=1)).move is Move.ADVANCE

    def test_the_last_step_ends_it(self) -> None:
        measures = measures_of(notes_of(), NOTHING, notes_of(9000))
        waits = _decided(measures, LAST, after_s=BAKE_S - 60)
        assert waits.reason == "100 % for 60 more seconds, then the rollout is done."
        found = _decided(measures, LAST)
        assert (found.move, found.reason) == (
            Move.FINISH,
            "100 % has passed, and no guard speaks against v5: the rollout is done.",
        )

    def test_one_step_to_all_requests(self) -> None:
        policy = CANARY.model_copy(update={"steps": (1.0,)})
        whole = rollout_of(shares=policy.steps)
        measures = measures_of(notes_of(), NOTHING)
        assert decide(policy, whole, measures, later(1)).move is Move.WAIT
        found = decide(policy, whole, measures, later(BAKE_S))
        assert found.move is Move.FINISH
        # Production answers nothing beside it, so there is little to compare with.
        verdicts = {one.name: one.verdict for one in found.guards}
        assert verdicts[P95_LATENCY] is CANNOT_TELL
        failing = measures_of(notes_of(100, 100), NOTHING)
        assert decide(policy, whole, failing, later(1)).move is Move.ROLL_BACK


class TestHold:
    def test_one_that_is_held_waits_and_says_why(self) -> None:
        held = rollout_of(status=HELD, held_because="ann: look at the fares first.")
        found = _decided(rollout=held)
        assert (found.move, found.reason) == (
            Move.WAIT,
            "Held at 10 %: ann: look at the fares first.",
        )

    def test_one_that_was_held_goes_on(self) -> None:
        held = rollout_of(status=HELD, held_because="ann: wait.")
        assert _decided(rollout=held).move is Move.WAIT
        assert _decided(rollout=replace(held, status=FIRST.status)).move is Move.ADVANCE

    def test_a_guard_that_fails_takes_back_one_that_is_held(self) -> None:
        held = rollout_of(status=HELD, held_because="ann: wait.")
        found = _decided(measures_of(notes_of(900, 100)), held)
        assert found.move is Move.ROLL_BACK
        assert "Held" not in found.reason


class TestRollBack:
    def test_the_guard_says_why_and_nobody_waits_for_the_bake_time(self) -> None:
        found = _decided(measures_of(notes_of(900, 100)), after_s=1)
        assert (found.move, found.reason) == (
            Move.ROLL_BACK,
            "10 % of 1,000 requests to v5 failed, against 0 % of 9,000 to v4; up to 1 % is "
            "allowed.",
        )

    def test_every_guard_that_fails_is_named(self) -> None:
        bad = measures_of(
            notes_of(900, 100, each_s=0.5, probability=0.6),
            estimates=estimates_of(0.5),
            failure="No memory.",
        )
        found = _decided(bad)
        assert {one.verdict for one in found.guards} == {FAILED}
        assert len(found.guards) == 5
        for guard in found.guards:
            assert guard.reason in found.reason


class TestClocksAndRestarts:
    def test_a_worker_that_was_started_anew_decides_the_same(self) -> None:
        # All it has is the record, the files of the replicas and the time.
        for after_s in (10, BAKE_S):
            assert _decided(after_s=after_s) == _decided(after_s=after_s)

    def test_a_clock_that_was_put_back_starts_the_step_anew(self) -> None:
        found = _decided(after_s=-3600)
        assert (found.move, found.restart_clock) == (Move.WAIT, True)
        assert found.seconds_left == BAKE_S
        assert found.reason == (
            "A clock was put back, so the step's time starts anew: "
            "10 % for 5 more minutes, then 50 %."
        )
        again = replace(FIRST, step_since=later(-3600))
        assert _decided(rollout=again, after_s=-3600 + 10).restart_clock is False
        assert _decided(rollout=again, after_s=-3600 + BAKE_S).move is Move.ADVANCE

    def test_a_clock_that_was_put_back_saves_no_version(self) -> None:
        found = _decided(measures_of(notes_of(900, 100)), after_s=-3600)
        assert (found.move, found.restart_clock) == (Move.ROLL_BACK, False)

    def test_a_clock_that_jumps_forward_still_asks_for_requests(self) -> None:
        month = timedelta(days=30).total_seconds()
        assert _decided(measures_of(notes_of(99)), after_s=month).move is Move.WAIT
        assert _decided(after_s=month).move is Move.ADVANCE


counts = st.integers(0, 400)
version_notes = st.builds(
    notes_of,
    answered=counts,
    failed=st.integers(0, 20),
    each_s=st.sampled_from([0.001, 0.004, 0.05, 2.0, 20.0]),
    probability=st.sampled_from([0.0, 0.3, 0.6, 0.89]),
)
all_measures = st.builds(
    StepMeasures,
    new=version_notes,
    old=version_notes,
    old_before=version_notes,
    estimates=st.none() | st.builds(estimates_of, new=st.floats(0.5, 1), step=st.integers(0, 2)),
    failure=st.sampled_from(["", "", "It is damaged."]),
)
rollouts = st.builds(
    rollout_of,
    step=st.integers(0, 2),
    status=st.sampled_from([FIRST.status, HELD]),
    held_because=st.just("ann: wait."),
)
seconds = st.floats(-1e5, 1e5)


class TestAlways:
    @given(all_measures, rollouts, seconds)
    def test_no_step_is_cut_short(
        self, measures: StepMeasures, rollout: Rollout, after_s: float
    ) -> None:
        found = _decided(measures, rollout, after_s)
        if found.move in (Move.ADVANCE, Move.FINISH):
            assert after_s >= BAKE_S
            assert measures.new.requests >= CANARY.minimum_requests
            assert rollout.status is not HELD
            assert not {one.verdict for one in found.guards} & {FAILED, UNSURE}
            assert (found.move is Move.FINISH) is rollout.is_last_step

    @given(all_measures, rollouts, seconds)
    def test_a_guard_that_fails_takes_it_back_and_nothing_else_does(
        self, measures: StepMeasures, rollout: Rollout, after_s: float
    ) -> None:
        found = _decided(measures, rollout, after_s)
        failed = FAILED in {one.verdict for one in found.guards}
        assert (found.move is Move.ROLL_BACK) is failed

    @given(all_measures, rollouts, seconds)
    def test_decisions_repeat_and_say_why(
        self, measures: StepMeasures, rollout: Rollout, after_s: float
    ) -> None:
        found = _decided(measures, rollout, after_s)
        assert found == _decided(measures, rollout, after_s)
        assert found.reason
        assert all(one.reason for one in found.guards)
        assert 0 <= found.seconds_left <= BAKE_S
        if found.restart_clock:
            assert (found.move, after_s < 0) == (Move.WAIT, True)
