"""Loading, swapping and dropping versions."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.deployment.endpoint import EndpointConfig
from core.errors import NotFoundError, UnavailableError
from core.scoring.bundle import MODEL_FILE, BundleRef
from core.scoring.good_models import GoodModels
from serve.loading import load_model
from serve.predictor import LoadedModel
from serve.store import ModelStore
from tests.serving_support import artifact_server, tiny_model, user_config, write_tiny_bundle


@pytest.fixture
def artifacts(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    folder = tmp_path / "artifacts"
    write_tiny_bundle(folder / "1")
    write_tiny_bundle(folder / "2", bias=3.0)
    with artifact_server(folder) as url:
        yield folder, url


def ref(url: str, version: int) -> BundleRef:
    return BundleRef(problem="titanic", version=version, url=f"{url}/{version}")


def test_versions_are_swapped_and_dropped(artifacts: tuple[Path, str], tmp_path: Path) -> None:
    _, url = artifacts
    store = ModelStore()
    assert store.snapshot.unready() == {"models": "No model is configured."}
    store.apply(user_config(tmp_path / "cache", titanic=ref(url, 1)))
    first = store.snapshot.model("titanic")
    assert (first.ref.version, store.snapshot.unready()) == (1, {})
    store.apply(user_config(tmp_path / "cache", titanic=ref(url, 1)))
    assert store.snapshot.model("titanic") is first
    store.apply(user_config(tmp_path / "cache", titanic=ref(url, 2)))
    assert store.snapshot.model("titanic").ref.version == 2
    store.apply(user_config(tmp_path / "cache"))
    with pytest.raises(NotFoundError, match="Served problems: none"):
        store.snapshot.model("titanic")


def test_changed_limits_reach_a_model_that_stays(
    artifacts: tuple[Path, str], tmp_path: Path
) -> None:
    _, url = artifacts
    store = ModelStore()
    config = user_config(tmp_path / "cache", titanic=ref(url, 1))
    store.apply(config)
    store.apply({**config, "max_records": 7, "max_body_mb": 3})
    model = store.snapshot.model("titanic")
    assert (model.max_records, model.max_body_bytes) == (7, 3 * 2**20)


def test_a_change_of_keys_loads_nothing(artifacts: tuple[Path, str], tmp_path: Path) -> None:
    _, url = artifacts
    asked: list[int] = []

    def load(wanted: BundleRef, config: EndpointConfig) -> LoadedModel:
        asked.append(wanted.version)
        return load_model(wanted, config)

    store = ModelStore(load)
    config = user_config(tmp_path / "cache", titanic=ref(url, 1))
    store.apply(config)
    other = {**config, "access": {**config["access"], "required": True}}
    store.apply(other)
    assert asked == [1]
    assert store.snapshot.config is not None
    assert store.snapshot.config.access.required
    # What could not be loaded waits for its next try.
    store.apply(user_config(tmp_path / "cache", titanic=ref(url, 9)))
    model, failures = store.snapshot.model("titanic"), store.snapshot.failures
    config = user_config(tmp_path / "cache", titanic=ref(url, 9))
    store.apply({**config, "access": other["access"]})
    assert asked == [1, 9]
    assert (store.snapshot.model("titanic"), store.snapshot.failures) == (model, failures)
    store.retry()
    assert asked == [1, 9, 9]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"contract_fingerprint": "0" * 64}, "was trained under another contract"),
        ({"problem": "other"}, "holds a model of other"),
        ({"model_sha256": "0" * 64}, "The model file differs"),
    ],
)
def test_a_version_that_does_not_fit_leaves_the_old_one(
    artifacts: tuple[Path, str], tmp_path: Path, changed: dict[str, Any], reason: str
) -> None:
    folder, url = artifacts
    write_tiny_bundle(folder / "3", **changed)
    store = ModelStore()
    store.apply(user_config(tmp_path / "cache", titanic=ref(url, 1)))
    store.apply(user_config(tmp_path / "cache", titanic=ref(url, 3)))
    assert store.snapshot.model("titanic").ref.version == 1
    assert reason in store.snapshot.failures["titanic"]
    assert store.snapshot.unready() == {}


def test_a_model_that_is_no_onnx_is_refused(artifacts: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = artifacts
    junk = b"no model"
    write_tiny_bundle(folder / "3", model_sha256=hashlib.sha256(junk).hexdigest())
    (folder / "3" / MODEL_FILE).write_bytes(junk)
    store = ModelStore()
    store.apply(user_config(tmp_path / "cache", titanic=ref(url, 3)))
    with pytest.raises(UnavailableError, match="cannot be loaded: InvalidProtobuf"):
        store.snapshot.model("titanic")


def test_what_failed_is_tried_again(artifacts: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = artifacts
    store = ModelStore()
    store.apply(user_config(tmp_path / "cache", titanic=ref(url, 3)))
    assert "no files" in store.snapshot.unready()["titanic"]
    write_tiny_bundle(folder / "3")
    store.retry()
    assert store.snapshot.model("titanic").ref.version == 3
    assert store.snapshot.failures == {}


def test_a_damaged_copy_heals_itself(artifacts: tuple[Path, str], tmp_path: Path) -> None:
    _, url = artifacts
    cache = tmp_path / "cache"
    ModelStore().apply(user_config(cache, titanic=ref(url, 1)))
    (copy,) = cache.rglob(MODEL_FILE)
    copy.write_bytes(b"damaged")
    store = ModelStore()
    store.apply(user_config(cache, titanic=ref(url, 1)))
    assert store.snapshot.model("titanic").ref.version == 1


def test_an_unusable_configuration_changes_nothing(
    artifacts: tuple[Path, str], tmp_path: Path
) -> None:
    _, url = artifacts
    store = ModelStore()
    store.apply({"models": 3})
    assert "models" in store.snapshot.unready()["models"]
    store.apply(user_config(tmp_path / "cache", titanic=ref(url, 1)))
    store.apply({"surprise": True})
    assert store.snapshot.model("titanic").ref.version == 1
    assert "cannot be used" in store.snapshot.config_failure
    mismatched = user_config(tmp_path / "cache", other=ref(url, 1))
    store.apply(mismatched)
    assert "given a model of titanic" in store.snapshot.config_failure


def test_the_server_needs_no_training_engine() -> None:
    """Neither Spark nor MLflow nor pickled models; without Ray's shell not even pandas."""
    code = "import sys; import {}; print(*sorted(m for m in {} if m in sys.modules))"
    engines = ("mlflow", "pyspark", "raydp", "sklearn", "joblib", "nannyml", "onnx")
    for module, forbidden in (
        ("serve.asgi", (*engines, "pandas", "ray", "fastapi")),
        ("serve.deployment", engines),
    ):
        run = subprocess.run(
            [sys.executable, "-c", code.format(module, repr(forbidden))],
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout.strip() == "", module


class TestStandIn:
    """A replica that has just started, while the registry is away."""

    @pytest.fixture
    def served(self, artifacts: tuple[Path, str], tmp_path: Path) -> dict[int, BundleRef]:
        """References of versions 1 and 2, which served one after the other before."""
        _, url = artifacts
        store = ModelStore()
        for version in (1, 2):
            store.apply(user_config(tmp_path / "cache", titanic=ref(url, version)))
        assert store.snapshot.failures == {}
        return {version: gone(ref(url, version)) for version in (1, 2)}

    def test_what_served_last_needs_no_registry(
        self, served: dict[int, BundleRef], tmp_path: Path
    ) -> None:
        shutil.rmtree(tmp_path / "cache")
        decided = self.decided(tmp_path)[2]
        store = ModelStore()
        store.apply(user_config(tmp_path / "cache", titanic=decided))
        assert store.snapshot.model("titanic").ref.version == 2
        assert store.snapshot.failures == {}

    def test_the_last_good_version_stands_in_until_the_wanted_one_is_there(
        self, artifacts: tuple[Path, str], served: dict[int, BundleRef], tmp_path: Path
    ) -> None:
        folder, url = artifacts
        store = ModelStore()
        wanted = ref(url, 3)
        store.apply(user_config(tmp_path / "cache", titanic=wanted))
        assert store.snapshot.model("titanic").ref.version == 2
        assert store.snapshot.unready() == {}
        failure = store.snapshot.failures["titanic"]
        assert "no files" in failure
        assert failure.endswith("v2 answers in its place.")
        write_tiny_bundle(folder / "3", bias=1.0)
        store.retry()
        assert store.snapshot.model("titanic").ref == wanted
        assert store.snapshot.failures == {}

    def test_a_damaged_copy_leaves_it_to_the_one_before(
        self, served: dict[int, BundleRef], tmp_path: Path
    ) -> None:
        for file in tmp_path.rglob(MODEL_FILE):
            facts = file.with_name("bundle.json").read_text()
            if "artifacts" not in file.parts and tiny_sha256(3.0) in facts:
                file.write_bytes(b"damaged")
        store = ModelStore()
        store.apply(user_config(tmp_path / "cache", titanic=served[2]))
        assert store.snapshot.model("titanic").ref.version == 1
        assert store.snapshot.failures["titanic"].endswith("v1 answers in its place.")

    def test_with_nothing_on_disk_the_replica_is_not_ready(self, tmp_path: Path) -> None:
        store = ModelStore()
        store.apply(user_config(tmp_path / "cache", titanic=gone(ref("", 1))))
        assert "MLflow does not answer" in store.snapshot.unready()["titanic"]

    def test_a_disk_that_is_full_stops_nothing(
        self, artifacts: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(GoodModels, "keep", full)
        store = ModelStore()
        store.apply(user_config(tmp_path / "cache", titanic=ref(artifacts[1], 1)))
        assert store.snapshot.model("titanic").ref.version == 1
        assert store.snapshot.failures == {}

    def decided(self, folder: Path) -> dict[int, BundleRef]:
        """As the promotion record has them: with their hashes, at an address that is gone."""
        kept = GoodModels(folder / "good-models").list("titanic")
        return {one.version: gone(one) for one in kept}


def gone(wanted: BundleRef) -> BundleRef:
    """The same at a registry that does not answer."""
    return wanted.model_copy(update={"url": f"http://127.0.0.1:9/{wanted.version}"})


def tiny_sha256(bias: float) -> str:
    return hashlib.sha256(tiny_model(bias)).hexdigest()


def test_a_configuration_of_an_earlier_release_still_loads(
    artifacts: tuple[Path, str], tmp_path: Path
) -> None:
    """Ray starts replicas on new code with it, until the installation is brought up anew."""
    document = user_config(tmp_path / "cache", titanic=ref(artifacts[1], 1))
    del document["good_models"]
    store = ModelStore()
    store.apply(document)
    assert store.snapshot.model("titanic").ref.version == 1
