"""Where the tour happens: an installation of its own, and what is smaller in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from core.errors import SetupError
from core.settings import CODE_ROOT, Settings
from core.settings_apart import ports_above, settings_apart

PROBLEM = "titanic"
#: The home of the tour, in that of the installation.
HOME = "demo"
#: The file that says that everything beside it may be removed.
MARK = "made-by-demo"
#: Added to the four published ports; simulations and staging are 1000 and 2000 above.
PORTS_APART = 1500


@dataclass(frozen=True)
class Change:
    """A parameter that is another one in the tour, by its dotted key, and why."""

    key: str
    value: object
    why: str


CHANGES = (
    Change("problems", [PROBLEM], "one problem is enough"),
    Change("bootstrap", [], "nothing is trained before somebody starts it"),
    Change("profile", "1c-1g", "enough for 891 rows, and leaves a core to all else"),
    Change("training.search.families", ["rf"], "one family"),
    Change("training.search.trials", 3, "few candidates; the model is not as good as it could be"),
    Change("training.evaluation.parity_records", 2000, "fewer generated records"),
    Change("schedule.checks", {}, "the time of day starts nothing"),
    Change("retraining.min_labelled_rows", 500, "so that labels of a drifted day are among them"),
    Change("rollout.canary.bake_s", 20, "seconds a step; otherwise a canary takes a quarter hour"),
    # Measured in the tour: between 0.22 and 0.32.
    Change("rollout.canary.prediction_psi", 0.6, "who has learned new fares predicts otherwise"),
    Change("rollout.canary.p95_slack_ms", 50.0, "the machine may have other things to do"),
)


def demo_settings(settings: Settings) -> Settings:
    """The installation of the tour beside ``settings``."""
    home = settings.home / HOME
    return settings_apart(
        settings, home, params_file=home / "params.yaml", **ports_above(settings, PORTS_APART)
    )


def demo_params(delivered: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of the tour: those that are delivered, but for ``CHANGES``."""
    params = deepcopy(dict(delivered))
    for change in CHANGES:
        *sections, name = change.key.split(".")
        section = params
        for each in sections:
            section = section[each]
        section[name] = change.value
    # What is promised of a problem that the tour does not know would be refused.
    promised = params["rollout"]["slo"]
    params["rollout"]["slo"] = {PROBLEM: promised[PROBLEM]}
    return params


def delivered_params() -> dict[str, Any]:
    """The parameters as they are delivered, whatever file is in force."""
    found: dict[str, Any] = yaml.safe_load((CODE_ROOT / "params.yaml").read_text(encoding="utf-8"))
    return found


def value_at(params: Mapping[str, Any], key: str) -> object:
    """A parameter by its dotted key."""
    found: Any = params
    for name in key.split("."):
        found = found[name]
    return found


def clear(home: Path, end: Callable[[], None]) -> bool:
    """Ends and removes an earlier tour; whether there was one.

    Args:
        home: where it is.
        end: stops its services.

    Raises:
        SetupError: something else is in its place.
    """
    if not home.exists():
        return False
    # Everything in it is removed, so it has to be ours.
    if not (home / MARK).is_file():
        raise SetupError(
            f"{home} was not made by the tour, so the tour leaves it alone.",
            fix="Move it away, or set PILOTHOUSE_HOME to another folder.",
        )
    end()
    shutil.rmtree(home)
    return True


def prepare(settings: Settings) -> None:
    """Makes the folder of the tour with its mark and its parameters."""
    settings.home.mkdir(parents=True, mode=0o700)
    (settings.home / MARK).touch()
    params = yaml.safe_dump(demo_params(delivered_params()), sort_keys=False)
    settings.params_file.write_text(params, encoding="utf-8")
