"""Loading what a rollout holds beside Production: apart from everything else, and once."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.deployment.answers import Ready
from core.scoring.bundle import BundleRef
from core.scoring.good_models import GoodModels
from serve.beside import KEPT
from serve.store import ModelStore
from tests.serving_support import artifact_server, user_config, write_tiny_bundle
from tests.unit.rollout_replica import Replica, plan, ref, replica, until


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Replica]:
    with replica(tmp_path) as one:
        yield one


def ready(serving: Replica) -> Ready:
    response = serving.call("GET", "/readyz")
    assert response.status_code == 200
    return Ready.model_validate_json(response.content)


def test_readyz_tells_what_is_beside(serving: Replica) -> None:
    serving.hold(1, plan(2, 0.1, step=1))
    beside = ready(serving).problems["titanic"].beside
    assert beside is not None
    assert beside.model_dump() == {
        "rollout": "r-1",
        "step": 1,
        "version": 2,
        "loaded": True,
        "failure": "",
    }
    serving.hold(1)
    assert ready(serving).problems["titanic"].beside is None


def test_another_share_or_step_loads_nothing(serving: Replica) -> None:
    serving.hold(1, plan(2, 0.1))
    first = serving.active.model
    serving.hold(1, plan(2, 0.5, step=1))
    assert (serving.active.plan.share, serving.active.plan.step) == (0.5, 1)
    assert serving.active.model is first
    assert serving.loads.asked == [1, 2]


def test_at_the_last_step_and_back_nothing_is_loaded(serving: Replica) -> None:
    serving.hold(1, plan(2, 0.5))
    one, two = serving.store.snapshot.models["titanic"], serving.active.model
    serving.hold(2, plan(1, 0.0, step=2))
    assert serving.store.snapshot.models["titanic"] is two
    assert serving.active.model is one
    serving.hold(1)
    assert serving.store.snapshot.models["titanic"] is one
    assert serving.loads.asked == [1, 2]


def test_a_rollout_that_begins_anew_with_the_same_version_loads_nothing(serving: Replica) -> None:
    serving.hold(1, plan(2, 1.0, kind="shadow"))
    shadow = serving.active.shadow
    assert shadow is not None
    serving.hold(1, plan(2, 0.1, rollout="r-2"))
    assert serving.active.shadow is None
    until(lambda: not shadow._thread.is_alive())
    assert serving.loads.asked == [1, 2]


def test_a_load_that_hangs_holds_up_nothing(serving: Replica) -> None:
    released = threading.Event()
    serving.loads.before[2] = released.wait
    serving.apply(1, plan(2, 1.0))
    beside = ready(serving).problems["titanic"].beside
    assert beside is not None
    assert (beside.loaded, beside.failure) == (False, "")
    assert serving.predict(5) == [1] * 5
    assert serving.notes().of(0, 1).requests == 5
    # Neither does another switch, nor is the load begun twice.
    serving.apply(3, plan(2, 1.0))
    serving.store.load_seconds()
    assert serving.predict(5) == [3] * 5
    # The next rollout does not wait for it, and what it comes to is not wanted any more.
    serving.hold(1, plan(3, 1.0, rollout="r-2"))
    assert serving.predict(5) == [3] * 5
    released.set()
    until(lambda: not serving.store.seconds._loading)
    assert serving.predict(5) == [3] * 5
    assert serving.loads.asked.count(2) == 1


def test_production_that_takes_long_to_load_does_not_hold_up_a_canary_on_its_way_back(
    serving: Replica,
) -> None:
    serving.hold(1, plan(2, 1.0))
    assert serving.predict(3) == [2] * 3
    released, begun = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        released.wait()

    serving.loads.before[3] = hang
    switch = threading.Thread(target=serving.apply, args=(3,))
    switch.start()
    begun.wait()
    assert serving.predict(3) == [1] * 3
    released.set()
    switch.join()
    assert serving.predict(3) == [3] * 3


def test_a_load_that_is_going_on_does_not_hold_it_up_either(serving: Replica) -> None:
    serving.hold(1, plan(2, 1.0))
    released, begun = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        released.wait()

    serving.loads.before[3] = hang
    switch = threading.Thread(target=serving.apply, args=(3, plan(2, 1.0)))
    switch.start()
    begun.wait()
    assert serving.predict(3) == [2] * 3
    back = threading.Thread(target=serving.apply, args=(1,))
    back.start()
    until(lambda: not serving.store.snapshot.beside)
    assert serving.predict(3) == [1] * 3
    released.set()
    switch.join()
    back.join()
    assert serving.predict(3) == [1] * 3


def test_a_load_that_fails_is_told_and_tried_again(serving: Replica) -> None:
    broken = True

    def fail() -> None:
        if broken:
            raise OSError("the disk is gone")

    serving.loads.before[2] = fail
    serving.hold(1, plan(2, 1.0))
    beside = ready(serving).problems["titanic"].beside
    assert beside is not None
    assert (beside.loaded, beside.failure) == (False, "OSError: the disk is gone")
    assert serving.notes().failure == "OSError: the disk is gone"
    assert serving.store.snapshot.failures == {}
    assert serving.predict(3) == [1] * 3
    # Another step keeps what is known of it.
    serving.apply(1, plan(2, 0.5, step=1))
    until(lambda: not serving.store.seconds._loading)
    assert serving.active.failure
    broken = False
    serving.store.load_seconds()
    until(lambda: serving.active.model)
    assert (serving.active.failure, serving.notes().failure) == ("", "")


def test_other_limits_load_the_second_version_anew(serving: Replica) -> None:
    serving.hold(1, plan(2, 1.0))
    serving.hold(1, plan(2, 1.0), max_records=7)
    until(lambda: serving.active.model)
    assert serving.active.model is not None
    assert serving.active.model.max_records == 7
    assert serving.loads.asked == [1, 2, 1, 2]


def test_a_change_of_keys_touches_nothing_beside(serving: Replica) -> None:
    serving.hold(1, plan(2, 0.5))
    before = serving.active
    document = user_config(serving.home / "cache", titanic=ref(1))
    access = {**document["access"], "required": True}
    serving.apply(1, plan(2, 0.5), access=access)
    assert serving.active == before
    assert serving.loads.asked == [1, 2]


def test_a_problem_that_is_dropped_takes_its_second_version_along(serving: Replica) -> None:
    serving.hold(1, plan(2, 1.0, kind="shadow"))
    shadow = serving.active.shadow
    assert shadow is not None
    serving.store.apply(user_config(serving.home / "cache"))
    assert serving.store.snapshot.beside == {}
    until(lambda: not shadow._thread.is_alive())


def test_counts_go_on_where_a_rollout_was_left_out_for_a_moment(serving: Replica) -> None:
    serving.hold(1, plan(2, 1.0))
    serving.predict(3)
    serving.hold(1)
    serving.hold(1, plan(2, 1.0))
    serving.predict(2)
    assert serving.notes().of(0, 2).requests == 5
    for number in range(KEPT + 3):
        serving.hold(1, plan(2, 1.0, rollout=f"other {number}"))
    assert len(serving.store.seconds.counts()) == KEPT


class TestOnDisk:
    """With files as a registry offers them."""

    @pytest.fixture
    def url(self, tmp_path: Path) -> Iterator[str]:
        for version in (1, 2):
            write_tiny_bundle(tmp_path / "artifacts" / str(version), bias=version - 1.0)
        with artifact_server(tmp_path / "artifacts") as url:
            yield url

    def held(self, store: ModelStore, home: Path, url: str, version: int, beside: int = 0) -> None:
        def of(version: int) -> BundleRef:
            return BundleRef(problem="titanic", version=version, url=f"{url}/{version}")

        document = user_config(home / "cache", titanic=of(version))
        if beside:
            second = plan(beside, 0.0).model_copy(update={"model": of(beside)})
            document["models"]["titanic"]["beside"] = second.model_dump(mode="json")
        store.apply(document)
        if beside:
            until(lambda: store.snapshot.beside["titanic"].model)

    def kept(self, home: Path) -> list[int]:
        return [one.version for one in GoodModels(home / "good-models").list("titanic")]

    def test_a_version_stands_in_only_once_it_has_served(self, tmp_path: Path, url: str) -> None:
        store = ModelStore()
        self.held(store, tmp_path, url, 1, beside=2)
        assert self.kept(tmp_path) == [1]
        self.held(store, tmp_path, url, 2, beside=1)
        assert self.kept(tmp_path) == [2, 1]
        # A replica that starts now needs no registry.
        shutil.rmtree(tmp_path / "artifacts")
        shutil.rmtree(tmp_path / "cache")
        fresh = ModelStore()
        self.held(fresh, tmp_path, url, 2, beside=1)
        assert fresh.snapshot.models["titanic"].ref.version == 2
        # And back, although nothing was fetched this time.
        self.held(fresh, tmp_path, url, 1)
        assert self.kept(tmp_path) == [1, 2]

    def test_files_that_are_gone_leave_it_serving(self, tmp_path: Path, url: str) -> None:
        store = ModelStore()
        self.held(store, tmp_path, url, 1, beside=2)
        shutil.rmtree(tmp_path / "cache")
        self.held(store, tmp_path, url, 2)
        assert store.snapshot.models["titanic"].ref.version == 2
        assert self.kept(tmp_path) == [1]

    def test_a_hash_names_the_version_wherever_it_is_fetched(
        self, tmp_path: Path, url: str
    ) -> None:
        store = ModelStore()
        self.held(store, tmp_path, url, 1, beside=2)
        second = store.snapshot.beside["titanic"].model
        assert second is not None
        decided = BundleRef(
            problem="titanic", version=2, url="http://127.0.0.1:9/2", sha256=second.bundle_sha256
        )
        store.apply(user_config(tmp_path / "cache", titanic=decided))
        now = store.snapshot.models["titanic"]
        assert (now.ref, now.scorer) == (decided, second.scorer)
        assert store.snapshot.failures == {}
