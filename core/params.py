"""params.yaml as frozen values: how models are trained, served and promoted.

Defaults live in ``params.yaml`` alone: every key must be there, an unknown key is
an error, and ``docs/params.md`` says what each means.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import Field, ValidationError, model_validator

from core.errors import InvalidInputError, NotFoundError, Offence
from core.frozen import Frozen
from core.params_alerts import AlertParams, RetrainingParams, ScheduleParams
from core.params_delivery import DeliveryParams
from core.params_inference import InferenceLogParams
from core.params_intake import IntakeParams
from core.params_monitoring import MonitoringParams
from core.params_profile import Profile as Profile
from core.params_profile import read_profile
from core.params_promotion import PromotionParams
from core.params_rates import RateParams
from core.params_rollout import RolloutParams


class SplitParams(Frozen):
    """How rows are divided; the same seed gives the same rows."""

    seed: int = Field(ge=0, description="Seed of every random choice of a run.")
    holdout_fraction: float = Field(gt=0, lt=0.5, description="Share of rows kept for evaluation.")
    folds: int = Field(ge=2, le=10, description="Folds of the cross-validation.")


class SearchParams(Frozen):
    """Which candidates are tried."""

    families: tuple[Literal["lr", "rf", "gbt", "xgb"], ...] = Field(
        min_length=1, description="Model families to search."
    )
    strategy: Literal["grid", "tpe"] = Field(
        description="How candidates are chosen: from the grid alone, or learning from earlier ones."
    )
    trials: int = Field(ge=1, description="Most candidates to try, shared among the families.")
    seconds: float | None = Field(
        gt=0, description="Seconds after which `tpe` starts no candidate; `null` for no limit."
    )
    parallel_trials: int = Field(ge=1, le=16, description="Candidates fitted at a time.")

    @model_validator(mode="after")
    def _budget_fits_strategy(self) -> SearchParams:
        if self.strategy == "grid" and self.seconds is not None:
            raise ValueError("seconds is a budget of tpe; with grid it must be null")
        return self


class EvaluationParams(Frozen):
    """How the chosen model is measured."""

    threshold_rule: Literal["accuracy", "f1", "youden"] = Field(
        description="What the decision threshold maximises on out-of-fold predictions."
    )
    bootstrap_samples: int = Field(ge=100, description="Resamples for confidence intervals.")
    confidence: float = Field(gt=0.5, lt=1, description="Level of the confidence intervals.")
    parity_tolerance: float = Field(
        gt=0, description="Largest difference in probability between Spark and the export."
    )
    parity_records: int = Field(ge=1, description="Generated records in the comparison with Spark.")


class SparkParams(Frozen):
    """How Spark runs on Ray."""

    rows_per_partition: int = Field(ge=1, description="Rows up to which one partition holds all.")
    start_timeout_s: float = Field(gt=0, description="Seconds Spark may take to start.")
    run_timeout_s: float = Field(gt=0, description="Seconds after which a run is ended.")
    stall_timeout_s: float = Field(gt=0, description="Seconds without progress that mean a hang.")
    idle_minutes: float = Field(
        ge=0, description="Minutes an idle session is kept for the next run; 0 keeps none."
    )
    driver_memory_mb: int = Field(ge=512, description="Memory of the Spark driver in MiB.")


class TrainingParams(Frozen):
    """Everything that decides the outcome of a run, except the data and the problem."""

    split: SplitParams
    search: SearchParams
    evaluation: EvaluationParams
    spark: SparkParams


class ServingParams(Frozen):
    """How Ray Serve answers."""

    min_replicas: int = Field(ge=1, description="Fewest replicas.")
    max_replicas: int = Field(ge=1, description="Most replicas.")
    target_ongoing_requests: int = Field(ge=1, description="Requests in flight a replica aims at.")
    look_back_s: float = Field(
        gt=2, description="Seconds over which requests in flight are averaged for scaling."
    )
    upscale_delay_s: float = Field(
        ge=0, description="Seconds of too many requests in flight before replicas are added."
    )
    downscale_delay_s: float = Field(
        ge=0, description="Seconds of few requests in flight before replicas are taken away."
    )
    max_ongoing_requests: int = Field(ge=1, description="Requests in flight a replica accepts.")
    max_records: int = Field(ge=1, description="Records in one request.")
    max_body_mb: int = Field(ge=1, description="Size of one request in MiB.")
    limits: RateParams
    inference_log: InferenceLogParams

    @model_validator(mode="after")
    def _ordered(self) -> ServingParams:
        if self.min_replicas > self.max_replicas:
            raise ValueError("min_replicas must not be above max_replicas")
        return self


class Params(Frozen):
    """The whole of params.yaml."""

    problems: tuple[str, ...] = Field(min_length=1, description="Problems of this installation.")
    bootstrap: tuple[str, ...] = Field(
        description="Problems trained and served when the store is empty."
    )
    profile: str = Field(description="Profile a run takes unless told otherwise.")
    profiles: dict[str, Profile]
    intake: IntakeParams
    training: TrainingParams
    serving: ServingParams
    promotion: PromotionParams
    rollout: RolloutParams
    monitoring: MonitoringParams
    alerts: AlertParams
    schedule: ScheduleParams
    retraining: RetrainingParams
    delivery: DeliveryParams

    @model_validator(mode="before")
    @classmethod
    def _name_profiles(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("profiles"), dict):
            named = {
                key: {**value, "name": key} if isinstance(value, dict) else value
                for key, value in data["profiles"].items()
            }
            return {**data, "profiles": named}
        return data

    @model_validator(mode="after")
    def _names_exist(self) -> Params:
        if self.profile not in self.profiles:
            raise ValueError(f"profile {self.profile!r} is not among profiles")
        strangers = sorted(set(self.bootstrap) - set(self.problems))
        if strangers:
            raise ValueError(f"bootstrap names {', '.join(strangers)}, not among problems")
        named = {"schedule.checks": set(self.schedule.checks), "rollout.slo": set(self.rollout.slo)}
        for section, problems in named.items():
            strangers = sorted(problems - set(self.problems))
            if strangers:
                raise ValueError(f"{section} names {', '.join(strangers)}, not among problems")
        return self

    def profile_named(self, name: str) -> Profile:
        """Returns a profile by name, or one that is written out, such as ``2x1c-2g``.

        Raises:
            NotFoundError: params.yaml has no such profile, and it is not written out.
            InvalidInputError: it is written out and breaks a rule of profiles.
        """
        found = self.profiles.get(name) or read_profile(name, self.profiles.values())
        if found is None:
            raise NotFoundError(
                f"There is no profile called {name!r}.",
                fix=f"Choose one of: {', '.join(self.profiles)}. Or write out executors, cores of "
                "each and memory in total, such as 2x1c-2g.",
            )
        return found


def load_params(path: Path) -> Params:
    """Reads and checks the parameters.

    Raises:
        InvalidInputError: the file is missing, is not YAML, or breaks a rule; every
            offence is named.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise InvalidInputError(
            f"The parameter file {path} cannot be read.",
            fix="Restore params.yaml or set PILOTHOUSE_PARAMS_FILE.",
        ) from exc
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise InvalidInputError(
            f"The parameter file {path} is not valid YAML.", fix="Correct it and try again."
        ) from exc
    return _validated(Params, data, what=f"The parameter file {path.name}")


def override_training(params: TrainingParams, changes: Mapping[str, str]) -> TrainingParams:
    """Returns ``params`` with dotted keys replaced, such as ``search.trials=6``.

    Values are YAML, so ``3``, ``0.2`` and ``[lr, rf]`` mean what they look like.

    Raises:
        InvalidInputError: a key does not exist or a value breaks its rule.
    """
    data = params.model_dump()
    for key, text in changes.items():
        node: Any = data
        *parents, leaf = key.split(".")
        for part in parents:
            node = node.get(part) if isinstance(node, dict) else None
        if not isinstance(node, dict) or leaf not in node:
            raise InvalidInputError(
                f"There is no training parameter called {key!r}.",
                fix="docs/params.md lists them, such as search.trials.",
                offences=[Offence(key, "unknown parameter")],
            )
        node[leaf] = _yaml_value(key, text)
    return _validated(TrainingParams, data, what="The parameters of this run")


def _yaml_value(key: str, text: str) -> object:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as exc:
        raise InvalidInputError(
            f"The value {text!r} of {key} cannot be read.",
            fix="Write it as in params.yaml, such as 6, 0.2 or [lr, rf].",
            offences=[Offence(key, "not valid YAML")],
        ) from exc


_Model = TypeVar("_Model", bound=Frozen)


def _validated(model: type[_Model], data: object, *, what: str) -> _Model:
    try:
        return model.model_validate(data)
    except ValidationError as exc:
        offences = [
            Offence(".".join(str(part) for part in error["loc"]), error["msg"])
            for error in exc.errors()
        ]
        first = offences[0]
        raise InvalidInputError(
            f"{what} cannot be used: {first.field}: {first.problem}.",
            fix="docs/params.md says what each parameter takes.",
            offences=offences,
        ) from exc
