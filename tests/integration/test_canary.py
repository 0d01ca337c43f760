"""A canary under steady load, to all requests and back, and a shadow; two replicas.

Ray Serve runs behind HAProxy as an installation starts it. ``pytest -s`` prints what was counted.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import pytest

from core.deployment.endpoint import Beside
from core.domain_serving import HeldBeside
from core.rollout.notes import RolloutNotes, read_notes, rollouts_folder
from serve.split import CALLER_KEY
from tests.load import Summary, load
from tests.serving_support import RECORD, expected_probability
from tests.steady import BODY, PREDICT, Steady, steady, wait_until

pytestmark = [pytest.mark.alone, pytest.mark.timeout(240)]

ROLLOUT = "canary-1"
RATE_PER_S = 100.0
#: Each step is looked at for so long, by which time some 250 requests have been sent.
STEP_S = 2.5
#: What a share may be off, as a share.
OFF = 0.02
CALLERS = tuple(f"caller {number}" for number in range(30))


@dataclass
class Step:
    """One step, and when all replicas had taken it and the next was decided on."""

    share: float
    reported_s: float
    ended_s: float = 0.0
    #: Caller -> the version that answered, each time on a connection of its own.
    callers: dict[str, int] = field(default_factory=dict)


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Steady]:
    with steady(tmp_path_factory.mktemp("canary"), versions=2) as serve:
        yield serve


def tell(line: str) -> None:
    print(line)  # noqa: T201


def canary(serve: Steady, version: int, step: int, share: float) -> Beside:
    model = serve.refer(version)
    return Beside(rollout=ROLLOUT, kind="canary", step=step, share=share, model=model)


def take(serve: Steady, production: int, beside: Beside, asked: Counter[int]) -> Step:
    """Takes a step, waits until every replica says so, and lets it last."""
    hold(serve, production, beside)
    taken = Step(beside.share, time.monotonic())
    alone = {"Connection": "close"}
    url = serve.settings.serving_url
    with httpx.Client(base_url=url, headers=alone, trust_env=False, timeout=30) as client:
        for caller in CALLERS:
            versions = {ask(client, caller) for _ in range(2)}
            assert len(versions) == 1, "a caller is answered by the same version each time"
            (taken.callers[caller],) = versions
            asked[taken.callers[caller]] += 2
    time.sleep(max(0.0, taken.reported_s + STEP_S - time.monotonic()))
    taken.ended_s = time.monotonic()
    return taken


def hold(serve: Steady, production: int, beside: Beside) -> None:
    """Returns once every replica says that it holds both versions."""
    serve.service.deploy({"titanic": serve.refer(production)}, {"titanic": beside})
    serve.service.wait_until_serving("titanic", production, timeout_s=60)
    held = HeldBeside(beside.rollout, beside.step, beside.model.version, loaded=True)
    wait_until(lambda: serve.service.status().beside == {"titanic": held})


def ask(client: httpx.Client, caller: str) -> int:
    """Which version answers a caller, by whichever replica."""
    response = client.post(PREDICT, json=BODY, headers={CALLER_KEY: caller})
    return int(response.raise_for_status().json()["model_version"])


def noted(serve: Steady, rollout: str = ROLLOUT) -> RolloutNotes:
    return read_notes(rollouts_folder(serve.settings.home), rollout, examples=1)


def answered(notes: RolloutNotes, version: int) -> int:
    """Requests that a version was chosen for, in all steps."""
    return sum(notes.of(step, version).requests for step in notes.steps)


def test_a_canary_takes_over_and_goes_back_with_the_split_that_was_asked_for(
    serve: Steady,
) -> None:
    asked: Counter[int] = Counter()
    with load(serve.settings.serving_url, PREDICT, BODY, RATE_PER_S) as steady_load:
        time.sleep(1.0)
        steps = [
            take(serve, 1, canary(serve, 2, 0, 0.1), asked),
            take(serve, 1, canary(serve, 2, 1, 0.5), asked),
            take(serve, 2, canary(serve, 1, 2, 0.0), asked),
        ]
        serve.serve(1)
        back_s = time.monotonic()
        time.sleep(1.0)
        summary = steady_load.stop()
    tell(f"\n{summary}")
    assert set(summary.outcomes) == {"200"}
    assert not summary.untrue_ready()
    hold_shares(steps, summary)
    assert {one.version for one in summary.after(back_s)} == {1}
    seen = asked + Counter(one.version for one in summary.predictions if one.version)
    # Replicas write each second; Production is noted while the rollout lasts.
    wait_until(lambda: answered(noted(serve), 2) == seen[2], timeout_s=10)
    notes = noted(serve)
    for step, versions in sorted(notes.steps.items()):
        told = {version: one.requests for version, one in versions.items()}
        tell(f"  step {step} as noted: {told}")
        assert all(one.failed == 0 for one in versions.values())
        assert all(one.rows == one.requests == sum(one.durations) for one in versions.values())
    assert answered(notes, 2) == seen[2]
    assert set(notes.steps[2]) == {2}, "Production's in the last step"
    assert len(list((rollouts_folder(serve.settings.home) / ROLLOUT).glob("*.json"))) == 2


def hold_shares(steps: list[Step], summary: Summary) -> None:
    """Every step had its share, and callers who were in stayed in."""
    before: set[str] = set()
    for number, step in enumerate(steps):
        share = step.share if number < 2 else 1.0
        during = summary.after(step.reported_s, step.ended_s)
        by_second = sum(one.version == 2 for one in during)
        tell(
            f"  step {number}, share {share}: {by_second} of {len(during)} by the new version,"
            f" {by_second / len(during):.3f}"
        )
        assert len(during) > 0.5 * RATE_PER_S * STEP_S
        assert abs(by_second / len(during) - share) <= OFF
        now = {caller for caller, version in step.callers.items() if version == 2}
        assert before <= now
        before = now
    assert before == set(CALLERS)


def test_a_shadow_scores_what_was_answered_and_answers_nobody(serve: Steady) -> None:
    shadow = canary(serve, 2, 0, 1.0).model_copy(
        update={"rollout": "shadow-1", "kind": "shadow", "queue_requests": 200, "examples": 1}
    )
    with load(serve.settings.serving_url, PREDICT, BODY, RATE_PER_S) as steady_load:
        hold(serve, 1, shadow)
        held_s = time.monotonic()
        time.sleep(STEP_S)
        ended_s = time.monotonic()
        serve.serve(1)
        summary = steady_load.stop()
    assert set(summary.outcomes) == {"200"}
    assert {one.version for one in summary.predictions} == {1}

    # Before the last replica had loaded it some were answered without it.
    due = len(summary.after(held_s, ended_s))
    assert due > 0.5 * RATE_PER_S * STEP_S

    def compared() -> int:
        notes = noted(serve, "shadow-1").shadow
        return notes.requests + notes.skipped

    wait_until(lambda: compared() >= due, timeout_s=10)
    assert compared() <= noted(serve, "shadow-1").of(0, 1).requests
    notes = noted(serve, "shadow-1").shadow
    tell(
        f"  of {notes.requests + notes.skipped} answers {notes.requests} were compared,"
        f" {notes.skipped} skipped, {notes.failed} failed; {notes.agreed} rows agreed"
    )
    assert notes.failed == 0
    assert notes.rows == notes.requests == sum(notes.differences)
    (worst,) = notes.worst
    expected = [expected_probability(RECORD, bias) for bias in (0.0, 1.0)]
    assert [worst.production, worst.shadow] == pytest.approx(expected, abs=1e-6)
