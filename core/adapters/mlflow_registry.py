"""Model versions in MLflow: registered, tagged, found again, pointed at by aliases."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import mlflow.onnx
import numpy as np
import onnx
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion as VendorVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.models.model import MLMODEL_FILE_NAME
from mlflow.types import ColSpec, Schema

from core.adapters.mlflow import TAG, translated_errors
from core.domain import ModelVersion
from core.problems.contract import Field, FieldType, Problem
from core.scoring.bundle import (
    MODEL_FILE,
    Bundle,
    BundleFacts,
    BundleRef,
    obtain_bundle,
    write_bundle,
)

PRODUCTION, STAGING, SHADOW = "production", "staging", "shadow"
LOADER = "core.adapters.mlflow_pyfunc"
_ARTIFACTS_SCHEME = "mlflow-artifacts:/"
#: How a description of ours begins.
_ATTACHED = "Filed by Pilothouse:"


class ModelRegistry:
    """Registered versions of every problem's model."""

    def __init__(self, client: MlflowClient, url: str) -> None:
        self._client = client
        self._url = url

    def register(
        self,
        problem: Problem,
        onnx_bytes: bytes,
        facts: BundleFacts,
        spark_model: Path,
        tags: Mapping[str, str],
        scratch: Path,
    ) -> int:
        """Stores the ONNX model (MLflow's flavour, signature, example) with Spark's beside it.

        Returns the new version's number.
        """
        with translated_errors(f"model {problem.name}"):
            run = self._client.get_run(facts.run_id)
            logged = self._client.create_logged_model(
                run.info.experiment_id, name=problem.name, source_run_id=facts.run_id
            )
            model = Model(run_id=facts.run_id, model_id=logged.model_id)
            _write_model(problem, onnx_bytes, facts, spark_model, model, scratch)
            self._client.log_model_artifacts(logged.model_id, str(scratch))
            self._client.finalize_logged_model(logged.model_id, "READY")
            self._ensure_model(problem.name)
            version = self._client.create_model_version(
                problem.name,
                source=logged.artifact_location,
                run_id=facts.run_id,
                model_id=logged.model_id,
                tags={f"{TAG}{key}": value for key, value in tags.items()},
            )
        shutil.rmtree(scratch, ignore_errors=True)
        return int(version.version)

    def _ensure_model(self, name: str) -> None:
        try:
            self._client.create_registered_model(name)
        except MlflowException as exc:
            if exc.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def get(self, problem: str, version: int) -> ModelVersion:
        """Reads one version."""
        with translated_errors(f"version {version} of {problem}"):
            found = self._client.get_model_version(problem, str(version))
            return self._version(found, tuple(found.aliases or ()))

    def list(self, problem: str) -> tuple[ModelVersion, ...]:
        """Versions of a problem, newest first."""
        with translated_errors(f"model {problem}"):
            found = self._client.search_model_versions(f"name = '{problem}'")
            if not found:
                return ()
            # A search tells no aliases; the model itself does: alias -> version.
            pointed = self._client.get_registered_model(problem).aliases
            return tuple(
                self._version(
                    item,
                    tuple(name for name, at in pointed.items() if int(at) == int(item.version)),
                )
                for item in sorted(found, key=lambda v: -int(v.version))
            )

    def _version(self, found: VendorVersion, aliases: tuple[str, ...]) -> ModelVersion:
        run = self._client.get_run(found.run_id)
        tags = {
            key.removeprefix(TAG): value for key, value in found.tags.items() if key.startswith(TAG)
        }
        return ModelVersion(
            problem=found.name,
            version=int(found.version),
            run_id=found.run_id,
            created_at=datetime.fromtimestamp(found.creation_timestamp / 1000, UTC),
            family=tags.get("family", ""),
            source=found.source,
            metrics=dict(run.data.metrics),
            tags=tags,
            aliases=aliases,
        )

    def refer(self, problem: str, version: int, source: str, sha256: str = "") -> BundleRef:
        """Says where a version's files are to be had, as the tracking server proxies them.

        Args:
            problem: whose model.
            version: its number.
            source: as ``ModelVersion`` tells it, or the promotion record.
            sha256: of the bundle that it has to be; empty where nobody has kept it.
        """
        path = source.removeprefix(_ARTIFACTS_SCHEME).lstrip("/")
        url = f"{self._url}/api/2.0/mlflow-artifacts/artifacts/{path}"
        return BundleRef(problem=problem, version=version, url=url, sha256=sha256)

    def bundle(self, version: ModelVersion, cache: Path) -> Bundle:
        """Reads a version's bundle as the registry has it; see ``obtain_bundle``."""
        return obtain_bundle(self.refer(version.problem, version.version, version.source), cache)

    def set_alias(self, problem: str, alias: str, version: int) -> None:
        """Points an alias at a version."""
        with translated_errors(f"version {version} of {problem}"):
            self._client.set_registered_model_alias(problem, alias, str(version))

    def drop_alias(self, problem: str, alias: str) -> None:
        """Removes an alias; one that is not there is fine."""
        with translated_errors(f"model {problem}"):
            self._client.delete_registered_model_alias(problem, alias)

    def aliases(self, problem: str) -> dict[str, int]:
        """Alias -> the version it points at; empty for a problem without a model."""
        with translated_errors(f"model {problem}"):
            try:
                found = self._client.get_registered_model(problem)
            except MlflowException as exc:
                if exc.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                return {}
        return {name: int(version) for name, version in found.aliases.items()}

    def tag(self, problem: str, version: int, tags: Mapping[str, str]) -> None:
        """Sets tags of a version."""
        with translated_errors(f"version {version} of {problem}"):
            for key, value in tags.items():
                self._client.set_model_version_tag(problem, str(version), f"{TAG}{key}", value)

    def attach(self, problem: str, version: int, documents: Mapping[str, str]) -> None:
        """Names files of a version's run in its tags and links them in its description.

        A description that a person has written stays.

        Args:
            problem: name of the problem.
            version: number of the version.
            documents: what a file is called, such as ``dossier`` -> its path among the
                artifacts of the run.
        """
        with translated_errors(f"version {version} of {problem}"):
            found = self._client.get_model_version(problem, str(version))
            for name, path in documents.items():
                uri = f"runs:/{found.run_id}/{path}"
                self._client.set_model_version_tag(problem, str(version), f"{TAG}{name}", uri)
            if not found.description or found.description.startswith(_ATTACHED):
                links = " · ".join(
                    f"[{name.replace('_', ' ')}]({self._artifact_url(found.run_id, path)})"
                    for name, path in documents.items()
                )
                self._client.update_model_version(problem, str(version), f"{_ATTACHED} {links}")

    def _artifact_url(self, run_id: str, path: str) -> str:
        """Where MLflow's server gives an artifact of a run to a browser."""
        return f"{self._url}/get-artifact?{urlencode({'path': path, 'run_uuid': run_id})}"


def _write_model(
    problem: Problem,
    onnx_bytes: bytes,
    facts: BundleFacts,
    spark_model: Path,
    model: Model,
    folder: Path,
) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    mlflow.onnx.save_model(
        onnx.load_from_string(onnx_bytes),
        str(folder),
        mlflow_model=model,
        signature=_signature(problem),
        input_example=_example(problem),
        # Named here, because MLflow would find them by importing the model in a new process.
        pip_requirements=[f"onnx=={onnx.__version__}", "onnxruntime", f"numpy=={np.__version__}"],
        save_as_external_data=False,
    )
    # The loader of MLflow's own that this names cannot give texts to onnxruntime.
    model.flavors["python_function"] |= {"loader_module": LOADER}
    del model.flavors["python_function"]["data"]
    model.save(str(folder / MLMODEL_FILE_NAME))
    # The exact bytes that were compared with Spark, whatever a second serialisation makes.
    write_bundle(folder, onnx_bytes, facts)
    if (folder / MODEL_FILE).read_bytes() != onnx_bytes:
        raise AssertionError("MLflow's layout of an ONNX model has changed")
    shutil.copytree(spark_model, folder / "spark")


def _signature(problem: Problem) -> ModelSignature:
    """Of the records that the loader takes, and of what it answers."""
    contract = problem.contract
    inputs = [
        ColSpec(_column_type(field), field.name, required=not field.nullable)
        for field in contract.fields
    ]
    label = "long" if isinstance(contract.label.positive, int) else "string"
    outputs = [ColSpec(label, "label"), ColSpec("double", "probability")]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs))


def _column_type(field: Field) -> str:
    if not field.type.is_numeric:
        return "string"
    # MLflow refuses a column of whole numbers in which one is missing.
    return "long" if field.type is FieldType.INTEGER and not field.nullable else "double"


def _example(problem: Problem) -> pd.DataFrame:
    """One record, made from the contract's examples."""
    kinds = {"long": "int64", "double": "float64", "string": "object"}
    return pd.DataFrame(
        {
            field.name: np.array([field.example], dtype=kinds[_column_type(field)])
            for field in problem.contract.fields
        }
    )
