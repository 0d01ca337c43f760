"""What callers notice of a switch of versions and of faults, at 300 requests a second.

Ray Serve runs behind HAProxy as an installation starts it. Each test prints what was counted:
``pytest -m long -s tests/integration/test_faults.py``. How long something took is printed and
never asserted, since other work on the machine is in it; docs/steadiness.md has the figures of
a quiet one.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import psutil
import pytest

from core.deployment.inference_log import inference_folder
from tests.full_disk import Disk, disk_at
from tests.load import Summary
from tests.steady import Steady, haproxies, processes, steady, wait_until

pytestmark = [pytest.mark.alone, pytest.mark.timeout(300)]

#: Rows that wait in a replica before they are lost: a few seconds of the load.
QUEUE_ROWS = 300
#: Predictions asked for beside the load as soon as a switch is reported complete.
ASKED = 50
#: What callers may be told while a process dies that their request is in.
UNANSWERED = {"dropped", "refused"}


@dataclass(frozen=True)
class Stage:
    """Serve with two replicas, and the disk of its inference log."""

    serve: Steady
    disk: Disk


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("faults")
    with disk_at(inference_folder(folder / "home")) as disk:
        with steady(folder, queue_rows=QUEUE_ROWS) as serve:
            yield Stage(serve, disk)


def tell(what: str, summary: Summary) -> None:
    print(f"\n{what}\n{summary}")  # noqa: T201


def test_a_promotion_and_a_rollback_fail_nobody_and_end_when_they_say_so(stage: Stage) -> None:
    serve = stage.serve
    serve.serve(1)
    switches = []
    with serve.load() as load:
        for version in (2, 1, 3):
            time.sleep(1.5)
            decided_s = time.monotonic()
            serve.serve(version)
            switches.append((version, decided_s, time.monotonic()))
            assert serve.versions_answered(ASKED) == {version}
        time.sleep(1.5)
        summary = load.stop()
    tell("promotion, rollback, promotion", summary)
    assert set(summary.outcomes) == {"200"}
    assert not summary.untrue_ready()
    ends = [decided_s for _, decided_s, _ in switches[1:]] + [float("inf")]
    before = 1
    for (version, decided_s, reported_s), end_s in zip(switches, ends, strict=True):
        # What was sent before the next decision may have been answered after it.
        during = [asked for asked in summary.after(decided_s) if asked.done_s < end_s]
        old = [asked.sent_s for asked in during if asked.version == before]
        last = max(old, default=decided_s)
        print(  # noqa: T201
            f"  v{before} to v{version}: v{before} seen last {last - decided_s:.2f} s after the"
            f" decision, reported complete after {reported_s - decided_s:.2f} s"
        )
        since = [asked for asked in during if asked.sent_s >= reported_s]
        assert {asked.version for asked in since} <= {version}
        before = version


@pytest.mark.long
def test_more_and_fewer_replicas_fail_nobody(stage: Stage) -> None:
    with stage.serve.load() as load:
        for count in (1, 3, 1):
            stage.serve.serve_with(count, version=2)
            time.sleep(3.0)
        summary = load.stop()
    stage.serve.serve(2)
    stage.serve.wait_for_replicas(2)
    tell("2 to 1 to 3 to 1 replicas", summary)
    assert set(summary.outcomes) == {"200"}
    assert not summary.untrue_ready()


@pytest.mark.long
def test_a_killed_replica_fails_nobody_who_asks_twice(stage: Stage) -> None:
    stage.serve.wait_for_replicas(2)
    summary = killed_under_load(stage.serve, "a replica", stage.serve.replicas()[:1])
    assert set(summary.outcomes) <= {"200", *UNANSWERED}
    assert not summary.failed_twice
    assert not summary.untrue_ready()


@pytest.mark.long
def test_replicas_that_are_all_killed_come_back_and_readyz_says_so(stage: Stage) -> None:
    summary = killed_under_load(stage.serve, "both replicas", stage.serve.replicas())
    # No replica is no 500, and no 404: it is worth asking again.
    assert set(summary.outcomes) <= {"200", "502", "503", "timeout", *UNANSWERED}
    assert {asked.outcome for asked in summary.ready} <= {"200", "502", "503", "timeout"}
    assert not summary.untrue_ready()


@pytest.mark.long
def test_a_killed_proxy_comes_back_and_knows_its_routes(stage: Stage) -> None:
    summary = killed_under_load(stage.serve, "HAProxy", haproxies())
    assert set(summary.outcomes) <= {"200", *UNANSWERED}
    assert not summary.untrue_ready()


@pytest.mark.long
def test_a_killed_keeper_of_the_proxy_does_too(stage: Stage) -> None:
    keepers = processes("ray::HAProxyManager")
    summary = killed_under_load(stage.serve, "the keeper of HAProxy", keepers)
    assert set(summary.outcomes) <= {"200", *UNANSWERED}
    assert not summary.untrue_ready()


@pytest.mark.long
def test_a_full_disk_of_the_inference_log_touches_no_answer(stage: Stage) -> None:
    serve = stage.serve
    before, failure = serve.lost_rows()
    assert failure == ""
    with serve.load() as load:
        time.sleep(2.0)
        with stage.disk.full(serve.replicas) as said:
            wait_until(lambda: serve.lost_rows()[0] > before)
            lost, failure = serve.lost_rows()
            assert failure == said
            assert said in serve.service.status().detail
        wait_until(lambda: serve.lost_rows()[1] == "")
        summary = load.stop()
    tell("the disk of the inference log full", summary)
    print(f"  {lost - before} rows lost when looked at; {failure}")  # noqa: T201
    assert set(summary.outcomes) == {"200"}
    assert not summary.untrue_ready()


def killed_under_load(serve: Steady, what: str, victims: list[psutil.Process]) -> Summary:
    """Kills them two seconds into a load that goes on until all is as before."""
    assert victims
    with serve.load() as load:
        time.sleep(2.0)
        killed_s = time.monotonic()
        for victim in victims:
            # A HAProxy that was replaced may just have ended by itself.
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.kill()
        psutil.wait_procs(victims, timeout=10)
        time.sleep(1.0)
        serve.wait_for_replicas(2)
        wait_until(lambda: is_ready(serve))
        print(f"  as before after {time.monotonic() - killed_s:.1f} s")  # noqa: T201
        time.sleep(3.0)
        summary = load.stop()
    tell(f"{what} killed with -9", summary)
    assert serve.versions_answered(ASKED) == {summary.versions[0][0]}
    return summary


def is_ready(serve: Steady) -> bool:
    try:
        return serve.get("/readyz").is_success
    except httpx.HTTPError:
        return False
