"""What every cluster does: the one in memory and Ray's dashboard."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.adapters.ray import JobStatus, RayCluster
from core.errors import UnavailableError
from tests.ray_head import RayHead, free_ports
from tests.unit.core_fakes import FakeCluster, Plug

pytestmark = pytest.mark.timeout(150)

Cluster = RayCluster | FakeCluster
JOB_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Subject:
    """A cluster of two CPUs, and one that is gone."""

    cluster: Cluster
    unplugged: Cluster

    def end_of(self, job_id: str, status: JobStatus, printed: str = "") -> JobStatus:
        """Waits for a real job's end; a fake one ends as told."""
        if isinstance(self.cluster, FakeCluster):
            if not self.cluster.jobs[job_id].is_over:
                self.cluster.end(job_id, status, printed)
            return self.cluster.jobs[job_id]
        deadline = time.monotonic() + JOB_TIMEOUT_S
        while True:
            found = self.cluster.status(job_id)
            if found is not None and found.is_over:
                return found
            assert time.monotonic() < deadline, f"{job_id} is {found}"
            time.sleep(0.2)


@pytest.fixture(params=["fake", "ray"])
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    if request.param == "fake":
        gone = Plug("Ray")
        gone.pulled = True
        yield Subject(FakeCluster(cpus=2), FakeCluster(plug=gone))
        return
    head: RayHead = request.getfixturevalue("ray")
    (port,) = free_ports(1)
    real = RayCluster(head.dashboard, head.token_file)
    nowhere = RayCluster(f"http://127.0.0.1:{port}")
    yield Subject(real, nowhere)
    real.close()
    nowhere.close()


@pytest.fixture
def job_id() -> str:
    """A job nobody else submits, so that tests share one head."""
    return f"plums-{uuid.uuid4().hex[:8]}"


def test_a_job_runs_and_its_output_is_kept(subject: Subject, job_id: str) -> None:
    subject.cluster.submit(job_id, "sh -c 'echo ripe in $SEASON'", {"SEASON": "late summer"})
    said = "ripe in late summer\n"
    assert subject.end_of(job_id, JobStatus.SUCCEEDED, said) is JobStatus.SUCCEEDED
    assert said in subject.cluster.logs(job_id)


def test_a_job_that_exits_with_an_error_has_failed(subject: Subject, job_id: str) -> None:
    subject.cluster.submit(job_id, "sh -c 'exit 3'")
    assert subject.end_of(job_id, JobStatus.FAILED) is JobStatus.FAILED


def test_a_job_can_be_stopped(subject: Subject, job_id: str) -> None:
    subject.cluster.submit(job_id, "sleep 600")
    found = subject.cluster.status(job_id)
    assert found in (JobStatus.PENDING, JobStatus.RUNNING)
    subject.cluster.stop(job_id)
    assert subject.end_of(job_id, JobStatus.STOPPED) is JobStatus.STOPPED
    subject.cluster.stop(job_id)  # once more is fine
    assert subject.cluster.status(job_id) is JobStatus.STOPPED


def test_a_second_job_of_the_same_id_is_refused(subject: Subject, job_id: str) -> None:
    subject.cluster.submit(job_id, "true")
    with pytest.raises(UnavailableError):
        subject.cluster.submit(job_id, "true")


def test_an_unknown_job_has_no_status(subject: Subject, job_id: str) -> None:
    assert subject.cluster.status(job_id) is None
    subject.cluster.stop(job_id)
    assert subject.cluster.status(job_id) is None
    with pytest.raises(UnavailableError):
        subject.cluster.logs(job_id)


def test_nodes_say_what_ray_declares(subject: Subject) -> None:
    (node,) = subject.cluster.nodes()
    assert node.host == "127.0.0.1"
    assert node.cpus == 2
    assert node.memory_mb > 256


def test_a_cluster_that_is_gone_is_unavailable(subject: Subject) -> None:
    gone = subject.unplugged
    for attempt in (
        lambda: gone.submit("a", "true"),
        lambda: gone.status("a"),
        lambda: gone.stop("a"),
        lambda: gone.logs("a"),
        gone.nodes,
    ):
        with pytest.raises(UnavailableError):
            attempt()


@pytest.mark.parametrize("told", [None, "0" * 64])
def test_a_stranger_starts_no_job(ray: RayHead, tmp_path: Path, job_id: str, told: str | None):
    file = tmp_path / "token"
    if told is not None:
        file.write_text(told)
    stranger = RayCluster(ray.dashboard, file)
    for action in (lambda: stranger.submit(job_id, "true"), stranger.nodes):
        with pytest.raises(UnavailableError, match="does not know our token"):
            action()
    stranger.close()
