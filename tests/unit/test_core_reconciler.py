"""What replicas serve against what the record says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.deployment.drift import Drift, find_drift
from core.domain_serving import Health, ServedVersion, ServingStatus
from core.errors import UnavailableError
from core.promotion.ports import Obstacle
from core.scoring.bundle import BundleRef
from tests.unit.core_fakes import World, make_world


def _status(health: Health = Health.HEALTHY, **served: int) -> ServingStatus:
    versions = tuple(
        ServedVersion(problem, version, "run", "gbt", 0.5) for problem, version in served.items()
    )
    return ServingStatus(health, 1, versions)


@pytest.mark.parametrize(
    ("recorded", "status", "drift"),
    [
        ({}, _status(), ()),
        ({}, _status(plums=3), ()),
        ({"plums": 3}, _status(plums=3, pears=1), ()),
        ({"plums": 3}, _status(plums=2), (Drift("plums", 3, 2),)),
        ({"plums": 3}, _status(), (Drift("plums", 3, None),)),
        ({"plums": 3}, _status(Health.DOWN), (Drift("plums", 3, None),)),
        (
            {"plums": 3, "pears": 2, "figs": 1},
            _status(plums=4, figs=1),
            (Drift("pears", 2, None), Drift("plums", 3, 4)),
        ),
    ],
)
def test_drift(recorded: dict[str, int], status: ServingStatus, drift: tuple[Drift, ...]) -> None:
    assert find_drift(recorded, status) == drift


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """An installation whose record says v1 and whose replicas serve nothing."""
    made = make_world(tmp_path)
    made.pilothouse.promotions.consider(made.train())
    # As after a restart of everything but the database.
    made.serving.deployed.clear()
    yield made
    made.close()


def _promote_second(world: World) -> None:
    world.pilothouse.promotions.consider(world.train(0.9))
    (request,) = world.pilothouse.promotions.requests(open_only=True)
    world.pilothouse.promotions.approve(request.id, reason="better by far", actor="bob")


def _sha256(world: World, version: int = 1) -> str:
    """Hash of a version's bundle as the registry has it."""
    found = world.registry.get("plums", version)
    return world.registry.bundle(found, world.registry.folder).sha256


def test_what_differs_is_deployed_with_its_files(world: World) -> None:
    assert world.pilothouse.reconciler.repair() == (Drift("plums", 1, None, told=True),)
    found = world.registry.get("plums", 1)
    url = f"http://registry/{found.source}"
    ref = BundleRef(problem="plums", version=1, url=url, sha256=_sha256(world))
    assert world.serving.deployed == [{"plums": ref}]


def test_other_files_of_the_recorded_version_differ(world: World) -> None:
    (same,) = _status(plums=1).served
    decided = {"plums": "a" * 64}
    for told, drift in (("", ()), ("a" * 64, ()), ("b" * 64, (Drift("plums", 1, 1),))):
        status = replace(_status(), served=(replace(same, bundle_sha256=told),))
        assert find_drift({"plums": 1}, status, decided) == drift
        # What a release before this one decided holds no hash to compare.
        assert find_drift({"plums": 1}, status, {"plums": ""}) == ()
    world.serving.shown = replace(_status(), served=(replace(same, bundle_sha256="b" * 64),))
    assert world.pilothouse.reconciler.repair() == (Drift("plums", 1, 1, told=True),)
    assert world.serving.deployed[0]["plums"].sha256 == _sha256(world)
    (entry,) = world.pilothouse.promotions.history("plums")
    assert entry.live_at is None


def test_the_record_says_where_files_lie_and_what_they_have_to_be(world: World) -> None:
    """Neither a registry that is away nor one that was changed has a say in it."""
    world.pilothouse.reconciler.repair()
    (before,) = world.serving.deployed
    world.registry.plug.pulled = True
    world.serving.shown = _status(Health.DOWN)
    world.pilothouse.reconciler.repair()
    world.registry.plug.pulled = False
    found = world.registry.versions["plums", 1]
    world.registry.versions["plums", 1] = replace(found, source="elsewhere")
    world.pilothouse.reconciler.repair()
    assert world.serving.deployed == [before] * 3


def test_a_decision_made_meanwhile_is_not_taken_back(world: World) -> None:
    reconciler = world.pilothouse.reconciler
    look = reconciler.look()
    _promote_second(world)
    told = len(world.serving.deployed)
    assert reconciler.mend(look) == (Drift("plums", 1, None),)
    assert len(world.serving.deployed) == told


def test_the_record_is_told_again_where_somebody_else_has_told_nothing(world: World) -> None:
    """As KubeRay does when it starts: replicas go on, and the next one would have no model."""
    blank = replace(_status(plums=1), is_blank=True)
    world.serving.shown = blank
    assert world.pilothouse.reconciler.repair() == ()
    # Also right after, since it may have happened since.
    world.pilothouse.reconciler.repair()
    assert [sorted(models) for models in world.serving.deployed] == [["plums"], ["plums"]]

    world.serving.shown = replace(blank, is_blank=False)
    world.pilothouse.reconciler.repair()
    assert len(world.serving.deployed) == 2


def test_nothing_is_told_where_nothing_was_decided(tmp_path: Path) -> None:
    made = make_world(tmp_path)
    made.serving.shown = replace(_status(), is_blank=True)
    assert made.pilothouse.reconciler.repair() == ()
    assert made.serving.deployed == []
    made.close()


def test_replicas_that_said_why_are_left_to_try_again(world: World) -> None:
    world.pilothouse.reconciler.repair()
    said = "MLflow does not answer."
    world.serving.shown = replace(_status(plums=7), failures={"plums": said})
    drift = (Drift("plums", 1, 7, Obstacle(said)),)
    assert world.pilothouse.reconciler.repair() == drift
    assert len(world.serving.deployed) == 1
    # Another version that nobody has complained about was put there by somebody.
    world.serving.shown = _status(plums=7)
    assert world.pilothouse.reconciler.repair() == (Drift("plums", 1, 7, told=True),)
    assert len(world.serving.deployed) == 2


def test_what_agrees_is_left_alone(world: World) -> None:
    world.serving.shown = _status(plums=1)
    assert world.pilothouse.reconciler.repair() == ()
    assert world.serving.deployed == []


def test_without_a_record_nothing_is_deployed(tmp_path: Path) -> None:
    empty = make_world(tmp_path)
    assert empty.pilothouse.reconciler.recorded() == {}
    assert empty.pilothouse.reconciler.repair() == ()
    assert empty.serving.deployed == []
    empty.close()


def test_a_deployment_under_way_is_not_put_again(world: World) -> None:
    world.pilothouse.reconciler.repair()
    world.serving.shown = _status(Health.STARTING)
    assert world.pilothouse.reconciler.repair() == (Drift("plums", 1, None),)
    assert len(world.serving.deployed) == 1


def test_another_record_is_deployed_at_once(world: World) -> None:
    world.pilothouse.reconciler.repair()
    world.serving.shown = _status(Health.STARTING)
    _promote_second(world)
    world.pilothouse.reconciler.repair()
    assert [models["plums"].version for models in world.serving.deployed] == [1, 2]


def test_a_deployment_that_takes_too_long_is_put_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.pilothouse.reconciler.repair()
    world.serving.shown = _status(Health.STARTING)
    monkeypatch.setattr("core.deployment.reconciler.PATIENCE_S", 0.0)
    world.pilothouse.reconciler.repair()
    assert len(world.serving.deployed) == 2


def test_replicas_that_are_down_again_are_deployed_again(world: World) -> None:
    world.pilothouse.reconciler.repair()
    world.serving.shown = _status(Health.DOWN)
    world.pilothouse.reconciler.repair()
    assert len(world.serving.deployed) == 2


def test_a_deployment_that_failed_is_tried_again(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    world.serving.plug.pulled = True
    world.pilothouse.promotions.consider(world.train())
    with pytest.raises(UnavailableError):
        world.pilothouse.reconciler.repair()
    world.serving.plug.pulled = False
    world.serving.shown = _status(Health.STARTING)
    world.pilothouse.reconciler.repair()
    assert len(world.serving.deployed) == 1
    world.close()


def test_what_replicas_cannot_load_is_said(world: World) -> None:
    failed = replace(_status(plums=4), failures={"plums": "Its bundle is broken."})
    assert find_drift({"plums": 5, "pears": 1}, failed) == (
        Drift("pears", 1, None),
        Drift("plums", 5, 4, Obstacle("Its bundle is broken.")),
    )


def test_a_deleted_version_leaves_what_answers_in_its_place(world: World) -> None:
    _promote_second(world)
    world.serving.deployed.clear()
    del world.registry.versions["plums", 2]
    gone = Obstacle("v2 was deleted from the registry.", deleted=True)
    world.serving.shown = _status(plums=1)
    assert world.pilothouse.reconciler.repair() == (Drift("plums", 2, 1, gone),)
    assert world.serving.deployed == []
    world.serving.shown = _status()
    assert world.pilothouse.reconciler.repair() == (Drift("plums", 2, None, gone),)
    # Neither is anything put in its place that nobody has decided on.
    assert world.serving.deployed == []


def test_a_deleted_version_is_known_as_such_whatever_replicas_say(world: World) -> None:
    """Else a promotion that was live is never taken back: only deletion is reason enough."""
    world.pilothouse.reconciler.repair()
    del world.registry.versions["plums", 1]
    failed = {"plums": "The registry has no files for this model version."}
    world.serving.shown = replace(_status(plums=7), failures=failed)
    (drift,) = world.pilothouse.reconciler.repair()
    assert drift.obstacle == Obstacle("v1 was deleted from the registry.", deleted=True)


def test_why_a_version_cannot_be_loaded_is_not_known_while_the_registry_is_away(
    world: World,
) -> None:
    """Else a promotion would be taken back for an outage of MLflow."""
    world.pilothouse.reconciler.repair()
    failed = {"plums": "MLflow does not answer."}
    world.serving.shown = replace(_status(plums=7), failures=failed)
    for is_outage in (False, True):
        world.registry.plug.pulled = is_outage
        (drift,) = world.pilothouse.reconciler.repair()
        assert drift.obstacle is not None
        assert drift.obstacle.is_outage is is_outage


def test_when_replicas_first_answer_is_noted_once(world: World) -> None:
    (first,) = world.pilothouse.promotions.history("plums")
    assert first.live_at is None
    world.pilothouse.reconciler.repair()
    world.serving.shown = _status(plums=1)
    world.pilothouse.reconciler.repair()
    (live,) = world.pilothouse.promotions.history("plums")
    assert live.live_at is not None
    world.pilothouse.reconciler.repair()
    assert world.pilothouse.promotions.history("plums") == (live,)


def test_a_promotion_goes_live_while_somebody_waits(world: World) -> None:
    (first,) = world.pilothouse.promotions.history("plums")
    world.pilothouse.reconciler.go_live(first, 5.0)
    assert world.serving.waited_for == [("plums", 1)]
    assert world.pilothouse.promotions.history("plums")[0].live_at is not None
