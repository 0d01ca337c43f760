"""params.yaml: every key there, none unknown; a run's own changes on top."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.errors import InvalidInputError, NotFoundError
from core.params import load_params, override_training
from core.settings import CODE_ROOT

PARAMS_FILE = CODE_ROOT / "params.yaml"
PARAMS = load_params(PARAMS_FILE)
DATA: dict[str, Any] = yaml.safe_load(PARAMS_FILE.read_text(encoding="utf-8"))


def _load(tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    data = copy.deepcopy(DATA)
    change(data)
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    load_params(path)


def test_the_repositorys_own_file_is_fit() -> None:
    assert PARAMS.profile in PARAMS.profiles
    assert set(PARAMS.bootstrap) <= set(PARAMS.problems)
    assert PARAMS.serving.min_replicas <= PARAMS.serving.max_replicas


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda d: d["training"]["split"].update(sede=7), "training.split.sede"),
        (lambda d: d.update(extra=1), "extra"),
        (lambda d: d["training"]["split"].pop("seed"), "training.split.seed"),
        (lambda d: d.pop("promotion"), "promotion"),
        (lambda d: d["training"]["split"].update(folds=1), "training.split.folds"),
        (lambda d: d["training"]["search"].update(families=[]), "training.search.families"),
        (lambda d: d["training"]["search"].update(families=["svm"]), "training.search.families.0"),
        (lambda d: d["profiles"].update(odd={"executors": 2, "cores": 3}), "profiles.odd"),
        (lambda d: d["profiles"].update(odd=3), "profiles.odd"),
        (
            lambda d: d["profiles"]["1c-1g"].update(executors=3, cores=4),
            "profiles.1c-1g",
        ),
        (
            lambda d: d["profiles"]["4c-4g"].update(memory_mb=1000),
            "profiles.4c-4g",
        ),
        (lambda d: d["serving"].update(min_replicas=3, max_replicas=2), "serving"),
        (lambda d: d.update(profile="9c-9g"), ""),
        (lambda d: d.update(bootstrap=["chess"]), ""),
    ],
)
def test_a_broken_file_names_the_place(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], field: str
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        _load(tmp_path, change)
    assert any(offence.field.startswith(field) for offence in refused.value.offences)
    assert refused.value.offences[0].field in refused.value.message


def test_every_offence_of_a_file_is_named(tmp_path: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        data["training"]["split"].update(seed=-1, folds=99)
        del data["serving"]["max_records"]

    with pytest.raises(InvalidInputError) as refused:
        _load(tmp_path, change)
    assert {offence.field for offence in refused.value.offences} == {
        "training.split.seed",
        "training.split.folds",
        "serving.max_records",
    }


@pytest.mark.parametrize("content", [b"a: [1", b"\xff\xfe\x00", b"", b"- 1"])
def test_what_is_no_parameter_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=r"params\.yaml"):
        load_params(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="cannot be read"):
        load_params(tmp_path / "params.yaml")


def test_a_profile_is_found_by_name() -> None:
    profile = PARAMS.profile_named("4c-6g")
    assert (profile.name, profile.executors, profile.cores) == ("4c-6g", 2, 4)
    assert (profile.cores_per_executor, profile.memory_mb_per_executor) == (2, 3072)


def test_an_unknown_profile_is_not_found_and_the_others_are_named() -> None:
    with pytest.raises(NotFoundError) as missing:
        PARAMS.profile_named("9c")
    assert "9c" in missing.value.message
    assert all(name in missing.value.fix for name in PARAMS.profiles)


@pytest.mark.parametrize(
    ("text", "name", "figures"),
    [
        ("2x1c-2g", "2x1c-2g", (2, 2, 2048)),
        ("3x2c-4.5g", "3x2c-4.5g", (3, 6, 4608)),
        ("02x01c-2.0g", "2x1c-2g", (2, 2, 2048)),
        # One of the named ones in other words: a run finds its warm session by the name.
        ("1x2c-2g", "2c-2g", (1, 2, 2048)),
        ("2x2c-6g", "4c-6g", (2, 4, 6144)),
    ],
)
def test_a_profile_may_be_written_out(text: str, name: str, figures: tuple[int, ...]) -> None:
    profile = PARAMS.profile_named(text)
    assert profile.name == name
    assert (profile.executors, profile.cores, profile.memory_mb) == figures


@pytest.mark.parametrize("text", ["0x1c-1g", "1x0c-1g", "1x1c-0g", "4x1c-1.5g", "1x1c-0.4g"])
def test_a_written_profile_that_breaks_a_rule_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match=f"Profile {text} cannot be used") as refused:
        PARAMS.profile_named(text)
    assert "512 MiB" in refused.value.fix


@pytest.mark.parametrize("text", ["2x1c", "x1c-2g", "-2x1c-2g", "2x1c-2g ", "2X1c-2g", "2x1c-2m"])
def test_what_is_not_quite_a_written_profile_is_an_unknown_one(text: str) -> None:
    with pytest.raises(NotFoundError) as missing:
        PARAMS.profile_named(text)
    assert "such as 2x1c-2g" in missing.value.fix


def test_overrides_replace_what_they_name_and_nothing_else() -> None:
    changed = override_training(
        PARAMS.training,
        {
            "search.trials": "3",
            "search.families": "[rf, lr]",
            "split.holdout_fraction": "0.25",
            "evaluation.threshold_rule": "f1",
            "evaluation.parity_tolerance": "1e-4",
        },
    )
    assert (changed.search.trials, changed.search.families) == (3, ("rf", "lr"))
    assert changed.split.holdout_fraction == 0.25
    assert changed.evaluation.threshold_rule == "f1"
    assert changed.evaluation.parity_tolerance == 1e-4
    assert changed.split.seed == PARAMS.training.split.seed
    assert changed.spark == PARAMS.training.spark
    assert PARAMS.training.search.trials == DATA["training"]["search"]["trials"]


def test_no_override_changes_nothing() -> None:
    assert override_training(PARAMS.training, {}) == PARAMS.training


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("search.trails", "3"),
        ("trials", "3"),
        ("", "3"),
        ("search.trials.more", "3"),
        ("serving.max_replicas", "3"),
        ("search.trials", "0"),
        ("search.trials", "many"),
        ("search.trials", ""),
        ("search.strategy", "random"),
        ("search.families", "[lr"),
        ("search", "3"),
        ("split.holdout_fraction", "0.9"),
    ],
)
def test_a_bad_override_names_its_key(key: str, text: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        override_training(PARAMS.training, {key: text})
    assert refused.value.offences[0].field.startswith(key)


def test_seconds_are_a_budget_of_tpe_alone() -> None:
    def chosen(**changes: str) -> float | None:
        dotted = {f"search.{key}": value for key, value in changes.items()}
        return override_training(PARAMS.training, dotted).search.seconds

    assert chosen(strategy="tpe", seconds="90") == 90
    assert chosen(strategy="tpe", seconds="null") is None
    for seconds in ("0", "-1", ".nan"):
        with pytest.raises(InvalidInputError) as refused:
            chosen(strategy="tpe", seconds=seconds)
        assert refused.value.offences[0].field == "search.seconds"
    with pytest.raises(InvalidInputError, match="with grid it must be null"):
        chosen(strategy="grid", seconds="90")
