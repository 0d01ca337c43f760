"""What follows from a sweep: on small sweeps made for one rule each, and on a recorded one."""

from __future__ import annotations

import pytest

from core.params import Profile
from core.training.advice import (
    HIGH_GC_SHARE,
    LEAST_GAIN,
    OUTSIDE_HEAP_MB,
    WORTH_SHARE,
    advise,
    efficiency_frontier,
    saturation,
)
from core.training.profile_means import profile_totals
from core.training.sweep_report import SweepReport, Topic
from tests.unit.sweep_values import (
    LARGE,
    MIDDLE,
    SMALL,
    curve_of,
    edited,
    measured,
    recorded_report,
    stage_of,
    sweep_of,
    usage_of,
)


def _texts(report: SweepReport, topic: Topic) -> str:
    return "\n".join(r.text for r in advise(report).reasons if r.topic is topic)


def test_a_sweep_without_measurements_is_refused() -> None:
    with pytest.raises(ValueError, match="without measurements"):
        advise(sweep_of())


class TestFamily:
    @pytest.mark.parametrize(
        ("gbt_auc", "error", "expected"),
        [
            (0.90, 0.01, "gbt"),  # clearly better
            (0.855, 0.01, "lr"),  # within one standard error: the cheaper one
            (0.86, 0.01, "lr"),  # exactly one standard error
            (0.8601, 0.01, "gbt"),  # just beyond it
            (0.84, 0.01, "lr"),  # worse and dearer
            (0.851, None, "gbt"),  # no error is known
        ],
    )
    def test_within_one_standard_error_the_cheaper_one_wins(
        self, gbt_auc: float, error: float | None, expected: str
    ) -> None:
        report = sweep_of(
            measured(family="lr", auc=0.85, error=error, seconds=5),
            measured(family="gbt", auc=gbt_auc, error=error, seconds=50),
        )
        assert advise(report).family == expected

    def test_the_reason_has_both_figures(self) -> None:
        report = sweep_of(
            measured(family="lr", auc=0.85, seconds=5),
            measured(family="gbt", auc=0.855, seconds=50),
        )
        text = _texts(report, Topic.FAMILY)
        assert "0.8500 for 7 core-seconds" in text
        assert "gbt has 0.8550 for 70" in text
        assert "one standard error (0.0100)" in text

    def test_the_best_one_says_who_is_as_good(self) -> None:
        report = sweep_of(
            measured(family="lr", auc=0.86, seconds=5),
            measured(family="gbt", auc=0.855, seconds=50),
        )
        assert "gbt is within one standard error of it and dearer" in _texts(report, Topic.FAMILY)


class TestProfile:
    @pytest.mark.parametrize(
        ("small", "middle", "expected", "said"),
        [
            ((100, 101), (60, 61), "2c-2g", "1c-1g takes 100 s: 2c-2g saves 40% of that"),
            ((100, 101), (95, 96), "1c-1g", "5% less, which is not worth 1 more core and 1024"),
            ((100, 140), (80, 130), "1c-1g", "cannot be told apart"),
            ((100, 100), (120, 120), "1c-1g", "2c-2g takes 120 s: 1c-1g saves 17% of that"),
            ((100,), (60,), "2c-2g", "Measured once"),
        ],
    )
    def test_a_larger_one_must_be_clearly_and_usefully_faster(
        self, small: tuple[float, ...], middle: tuple[float, ...], expected: str, said: str
    ) -> None:
        report = sweep_of(
            *(measured(SMALL, repeat=i + 1, seconds=s) for i, s in enumerate(small)),
            *(measured(MIDDLE, repeat=i + 1, seconds=s) for i, s in enumerate(middle)),
        )
        assert advise(report).profile == expected
        assert said in _texts(report, Topic.PROFILE)

    @pytest.mark.parametrize(
        ("memory_mb", "said"),
        [
            (3072, "not worth 1 more core and 1024 MiB more."),
            (2048, "not worth 1 more core."),
            (1024, "not worth 1 more core, even with 1024 MiB less."),
        ],
    )
    def test_more_cores_may_come_with_less_memory(self, memory_mb: int, said: str) -> None:
        other = Profile(name="2x1c", executors=2, cores=2, memory_mb=memory_mb)
        first = Profile(name="1x1c-2g", executors=1, cores=1, memory_mb=2048)
        report = sweep_of(measured(first, seconds=100), measured(other, seconds=95))
        assert said in _texts(report, Topic.PROFILE)

    @pytest.mark.parametrize(("share", "expected"), [(0.001, "2c-2g"), (-0.001, "1c-1g")])
    def test_the_share_that_makes_it_worth(self, share: float, expected: str) -> None:
        seconds = 100 * (1 - WORTH_SHARE - share)
        report = sweep_of(measured(SMALL, seconds=100), measured(MIDDLE, seconds=seconds))
        assert advise(report).profile == expected

    def test_the_order_of_measuring_does_not_matter(self) -> None:
        ones = [
            measured(SMALL, seconds=100),
            measured(MIDDLE, seconds=60),
            measured(LARGE, seconds=58),
        ]
        assert {advise(sweep_of(*order)).profile for order in (ones, ones[::-1])} == {"2c-2g"}

    def test_families_add_up(self) -> None:
        report = sweep_of(
            measured(SMALL, "lr", seconds=10),
            measured(SMALL, "gbt", seconds=40),
            measured(MIDDLE, "lr", seconds=12),
            measured(MIDDLE, "gbt", seconds=20),
        )
        assert "2c-2g searches 2 families in 32 s" in _texts(report, Topic.PROFILE)

    @pytest.mark.parametrize(("cores", "is_named"), [(2, True), (4, False)])
    def test_an_oversubscribed_one_is_named(self, cores: int, is_named: bool) -> None:
        report = sweep_of(measured(MIDDLE), measured(LARGE), physical_cores=cores)
        assert ("4c-4g is oversubscribed" in _texts(report, Topic.PROFILE)) is is_named


class TestCores:
    @pytest.mark.parametrize(
        ("utilization", "physical", "said"),
        [
            (0.31, 4, "More cores will not help: 31% utilization of 2c-2g's cores by tasks"),
            (0.6, 4, "More cores will help little: 60% utilization"),
            (0.95, 4, "More cores may help: 95% utilization"),
            (0.95, 2, "only another machine would be faster"),
        ],
    )
    def test_by_utilization(self, utilization: float, physical: int, said: str) -> None:
        report = sweep_of(measured(MIDDLE, utilization=utilization), physical_cores=physical)
        assert said in _texts(report, Topic.CORES)

    def test_the_drivers_own_work_is_no_use_of_cores(self) -> None:
        one = measured(SMALL, utilization=0.9, task_s=2.0)
        text = _texts(sweep_of(one), Topic.CORES)
        assert "More cores will not help: 20% utilization of 1c-1g's cores by tasks" in text
        assert "comes to 90%" in text


class TestMemory:
    @pytest.mark.parametrize(
        ("rss_mb", "gc_s", "spilled_mb", "said"),
        [
            (1600.0, 2.1, 0.0, "Raise memory above 2c-2g's: garbage collection took 15%"),
            (1600.0, 0.2, 30.0, "Raise memory above 2c-2g's: 30 MiB were spilled"),
            (2340.0, 0.2, 0.0, "Raise memory above 2c-2g's: the executors' heap held 2040 of"),
            (900.0, 0.2, 0.0, "Memory can go down: the executors' heap held about 600 of 2048"),
            (1600.0, 0.2, 0.0, "Memory is right on 2c-2g"),
        ],
    )
    def test_by_collection_spill_and_heap(
        self, rss_mb: float, gc_s: float, spilled_mb: float, said: str
    ) -> None:
        usage = usage_of(executor_rss_mb=rss_mb, gc_s=gc_s, spilled_mb=spilled_mb)
        one = measured(MIDDLE).model_copy(update={"usage": usage})
        assert said in _texts(sweep_of(one), Topic.MEMORY)

    def test_collection_at_the_limit_is_no_reason(self) -> None:
        usage = usage_of(gc_s=14.0 * HIGH_GC_SHARE)
        one = measured(MIDDLE).model_copy(update={"usage": usage})
        assert "Raise" not in _texts(sweep_of(one), Topic.MEMORY)

    def test_each_executor_has_a_jvm_beside_its_heap(self) -> None:
        usage = usage_of(cores=4, executor_rss_mb=2048 + 1.5 * OUTSIDE_HEAP_MB)
        one = measured(LARGE).model_copy(update={"usage": usage})
        assert "Memory can go down" in _texts(sweep_of(one), Topic.MEMORY)

    def test_python_workers_are_not_in_the_heap(self) -> None:
        usage = usage_of(executor_rss_mb=2340.0)
        (point,) = usage.points
        apart = (point.model_copy(update={"executor_jvm_rss_mb": 900.0}),)
        one = measured(MIDDLE).model_copy(
            update={"usage": usage.model_copy(update={"points": apart})}
        )
        said = _texts(sweep_of(one), Topic.MEMORY)
        assert "the executors' heap held about 600 of 2048" in said

    def test_only_the_advised_profile_counts(self) -> None:
        hungry = measured(SMALL, seconds=100, spilled_mb=50.0)
        report = sweep_of(hungry, measured(MIDDLE, seconds=50))
        assert "Raise" not in _texts(report, Topic.MEMORY)


class TestSkew:
    def test_the_worst_stage_is_named(self) -> None:
        stages = (stage_of(skew=4.0), stage_of(id=9, skew=3.5), stage_of(id=8, skew=None, tasks=1))
        text = _texts(sweep_of(measured(slowest=stages)), Topic.SKEW)
        assert "Stage 12 of gbt (gbt: fold 2) is skewed" in text
        assert "4.0 times the median of 4 tasks" in text

    @pytest.mark.parametrize(
        "stage",
        [stage_of(skew=2.9), stage_of(skew=9.0, seconds=0.1), stage_of(skew=None)],
        ids=["even", "short", "unknown"],
    )
    def test_what_costs_nothing_is_not_named(self, stage: object) -> None:
        assert _texts(sweep_of(measured(slowest=(stage,))), Topic.SKEW) == ""

    def test_one_partition_is_named(self) -> None:
        stages = (stage_of(tasks=1, skew=None), stage_of(tasks=1, skew=None))
        text = _texts(sweep_of(measured(slowest=stages)), Topic.SKEW)
        assert "one partition" in text


class TestBoosting:
    def test_a_depth_that_levels_off(self) -> None:
        points = curve_of(3, 0.80, 0.85, 0.853, 0.854)
        text = _texts(sweep_of(measured(), boosting=points), Topic.BOOSTING)
        assert f"less than {LEAST_GAIN} of AUC an iteration after 11: 0.8500 there" in text
        assert "0.8540 at 31, which takes 2.8 times as long" in text

    def test_a_depth_that_still_gains(self) -> None:
        points = curve_of(5, 0.80, 0.85, 0.88)
        text = _texts(sweep_of(measured(), boosting=points), Topic.BOOSTING)
        assert "still gains 0.0030 of AUC an iteration at 21 iterations" in text

    def test_each_depth_has_its_sentence(self) -> None:
        points = (*curve_of(3, 0.8, 0.8), *curve_of(5, 0.8, 0.9))
        text = _texts(sweep_of(measured(), boosting=points), Topic.BOOSTING)
        assert [line.split(" gains")[0] for line in text.splitlines()] == [
            "Boosting at depth 3",
            "Boosting at depth 5 still",
        ]

    def test_a_single_cut_says_nothing(self) -> None:
        report = sweep_of(measured(), boosting=curve_of(3, 0.8))
        assert _texts(report, Topic.BOOSTING) == ""

    def test_a_late_rise_counts(self) -> None:
        assert saturation(curve_of(3, 0.80, 0.80, 0.82, 0.82)).iterations == 21

    def test_a_curve_that_only_falls_ends_at_once(self) -> None:
        assert saturation(curve_of(3, 0.80, 0.79, 0.78)).iterations == 1


class TestFrontier:
    def test_nothing_on_it_is_beaten(self) -> None:
        report = sweep_of(
            measured(SMALL, "lr", seconds=5, auc=0.84),
            measured(SMALL, "gbt", seconds=50, auc=0.86),
            measured(MIDDLE, "lr", seconds=6, auc=0.84),
            measured(MIDDLE, "rf", seconds=20, auc=0.83),
            measured(MIDDLE, "gbt", seconds=30, auc=0.86),
        )
        names = [(m.profile.name, m.family) for m in efficiency_frontier(report, "seconds")]
        assert names == [("1c-1g", "lr"), ("2c-2g", "gbt")]
        # Two cores for 30 s cost more than one for 50 s.
        names = [(m.profile.name, m.family) for m in efficiency_frontier(report, "core_seconds")]
        assert names == [("1c-1g", "lr"), ("1c-1g", "gbt")]

    def test_repeats_are_one_point(self) -> None:
        report = sweep_of(measured(seconds=10), measured(repeat=2, seconds=20))
        (point,) = efficiency_frontier(report, "seconds")
        assert (point.seconds, point.seconds_range, point.repeats) == (15, 10, 2)


class TestRecorded:
    """The sweep of docs/resources.md, and copies of it with one thing changed."""

    def test_what_is_advised_was_measured(self) -> None:
        report = recorded_report()
        advice = advise(report)
        assert advice.profile in {one.profile.name for one in report.measurements}
        assert advice.family in {one.family for one in report.measurements}
        topics = {reason.topic for reason in advice.reasons}
        assert {Topic.PROFILE, Topic.FAMILY, Topic.CORES, Topic.MEMORY, Topic.BOOSTING} <= topics

    def test_a_family_has_one_auc_on_every_profile(self) -> None:
        """Partitions are pinned: a profile changes the cost, not the model."""
        by_family: dict[str, set[float]] = {}
        for one in recorded_report().measurements:
            by_family.setdefault(one.family, set()).add(round(one.cv_auc, 9))
        assert all(len(values) == 1 for values in by_family.values())

    def test_with_garbage_collection_memory_is_raised(self) -> None:
        changed = edited(
            recorded_report(),
            lambda one: one.model_copy(
                update={"usage": one.usage.model_copy(update={"gc_s": 0.3 * one.usage.task_s})}
            ),
        )
        assert "garbage collection took 30%" in _texts(changed, Topic.MEMORY)

    def test_with_idle_cores_more_of_them_do_not_help(self) -> None:
        changed = edited(
            recorded_report(),
            lambda one: one.model_copy(
                update={
                    "usage": one.usage.model_copy(
                        update={"task_s": 0.31 * one.usage.wall_s * one.usage.cores}
                    )
                }
            ),
        )
        assert "More cores will not help: 31%" in _texts(changed, Topic.CORES)

    def test_with_unsteady_repeats_profiles_cannot_be_told_apart(self) -> None:
        changed = edited(
            recorded_report(),
            lambda one: one.model_copy(update={"seconds": 100.0 if one.repeat == 1 else 900.0}),
        )
        text = _texts(changed, Topic.PROFILE)
        others = len(profile_totals(changed)) - 1
        assert text.count("cannot be told apart") == others > 0
        smallest = min(profile_totals(changed), key=lambda total: total.profile.cores)
        assert advise(changed).profile == smallest.profile.name

    def test_with_a_clearly_faster_profile_that_one_is_advised(self) -> None:
        largest = max(profile_totals(recorded_report()), key=lambda total: total.profile.cores)
        changed = edited(
            recorded_report(),
            lambda one: one.model_copy(
                update={"seconds": 10.0 if one.profile == largest.profile else 40.0}
            ),
        )
        assert advise(changed).profile == largest.profile.name
        assert "saves 75% of that" in _texts(changed, Topic.PROFILE)
