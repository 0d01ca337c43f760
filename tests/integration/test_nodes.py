"""A head and two more nodes on one machine: what is spread, and a node that is lost.

``pytest -s -m long`` prints what was counted.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.installation import Installation, prepare, running
from tests.load import load
from tests.nodes import Cluster, Joined, cluster_of, joined
from tests.steady import BODY, PREDICT, wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

Tell = Callable[[str], None]
EXECUTOR, REPLICA = "RayDPExecutor", "ServeReplica"
PROFILE = "2x1c-2g"
REPLICAS = 3
RUN_TIMEOUT_S = 420.0
RATE_PER_S = 100.0
#: After a node is lost, how long requests may still fail.
FIRST_S = 1.0


@dataclass(frozen=True)
class Several:
    """An installation with two more nodes."""

    installation: Installation
    cluster: Cluster
    nodes: tuple[Joined, ...]

    def others(self) -> set[str]:
        return {node.id for node in self.nodes}

    def node(self, id_: str) -> Joined:
        (found,) = [node for node in self.nodes if node.id == id_]
        return found

    def replicas_off(self, lost: str) -> int:
        """Replicas that live on other nodes than one."""
        return sum(node != lost for node in self.nodes_of(REPLICA))

    def is_spread(self) -> bool:
        """Whether replicas live on more than one node."""
        return len(set(self.nodes_of(REPLICA))) > 1

    def nodes_of(self, kind: str) -> list[str]:
        """Node of each living actor of a kind."""
        return [row["node_id"] for row in self.cluster.actors(kind)]


@pytest.fixture
def several(tmp_path: Path) -> Iterator[Several]:
    made = prepare(tmp_path, ray_cpus=2)
    params = yaml.safe_load(made.settings.params_file.read_text(encoding="utf-8"))
    params["serving"] |= {"min_replicas": REPLICAS, "max_replicas": REPLICAS}
    made.settings.params_file.write_text(yaml.safe_dump(params), encoding="utf-8")
    with ExitStack() as stack:
        stack.enter_context(running(made))
        nodes = [stack.enter_context(joined(made, tmp_path / f"node-{i}.log")) for i in (1, 2)]
        cluster = stack.enter_context(cluster_of(made.settings))
        yield Several(made, cluster, tuple(nodes))


def test_a_run_is_spread_and_survives_the_loss_of_a_node(several: Several, tell: Tell) -> None:
    started = several.installation.ask("run", "titanic", "--profile", PROFILE)
    run_id = started["id"]
    wait_until(lambda: len(several.nodes_of(EXECUTOR)) == 2, 120)
    homes = several.nodes_of(EXECUTOR)
    assert len(set(homes)) == 2
    wait_until(lambda: _stage(several.installation, run_id) == "train", 240)
    lost = next(one for one in homes if one in several.others())
    several.node(lost).kill()
    began = time.monotonic()
    run = several.installation.wait_for_run(run_id, RUN_TIMEOUT_S)
    took_s = time.monotonic() - began
    tell(f"the run ended {run['status']} {took_s:.0f} s after one of its nodes was lost")
    assert run["status"] == "finished"
    assert lost not in several.cluster.node_ids()


def test_callers_notice_the_loss_of_a_node_for_a_second_at_most(
    several: Several, tell: Tell
) -> None:
    # They began on the head, where they would stay; those that are started anew are spread.
    for row in several.cluster.actors(REPLICA)[1:]:
        os.kill(row["pid"], signal.SIGKILL)
    wait_until(lambda: len(several.nodes_of(REPLICA)) == REPLICAS and several.is_spread(), 120)
    homes = several.nodes_of(REPLICA)
    lost = next(one for one in homes if one in several.others())
    url = several.installation.settings.serving_url
    with load(url, PREDICT, BODY, rate_per_s=RATE_PER_S) as callers:
        time.sleep(3)
        lost_s = time.monotonic()
        several.node(lost).kill()
        wait_until(lambda: several.replicas_off(lost) == REPLICAS, 90)
        time.sleep(3)
        seen = callers.stop()
    tell(f"{len(seen.after(lost_s, lost_s + FIRST_S))} requests in the first second\n{seen}")
    assert not [one for one in seen.after(lost_s + FIRST_S) if not one.is_answered]
    assert not seen.failed_twice


def _stage(installation: Installation, run_id: str) -> str:
    run = installation.ask("runs", "show", run_id)["run"]
    return str((run.get("progress") or {}).get("stage"))
