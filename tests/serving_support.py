"""A tiny model of the Titanic problem for tests of serving: one line of arithmetic."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from core.access.admission import Admission, AdmittedKey
from core.access.key_ring import KeyRing
from core.access.serving_key import digest_of
from core.params import ServingParams
from core.params_inference import InferenceLogParams
from core.params_rates import RateParams
from core.problems import load_problem
from core.scoring.bundle import BundleFacts, BundleRef, write_bundle
from serve.gate import Gate

PACKAGES = ("core.problems",)
TITANIC = load_problem("titanic", PACKAGES)
RECORD: dict[str, Any] = {
    "Pclass": 3,
    "Sex": "male",
    "Age": 22.0,
    "SibSp": 1,
    "Parch": 0,
    "Fare": 7.25,
    "Embarked": "S",
}
THRESHOLD = 0.5
INFERENCE_LOG = InferenceLogParams(
    enabled=True,
    flush_s=0.2,
    keep_days=90,
    segment_mb=16,
    segment_minutes=5,
    queue_rows=50_000,
)

RATES = RateParams(requests_per_second=500, burst=1000)
#: What tests of serving run with; each changes what it is about.
SERVING = ServingParams(
    min_replicas=1,
    max_replicas=2,
    target_ongoing_requests=16,
    look_back_s=10,
    upscale_delay_s=5,
    downscale_delay_s=60,
    max_ongoing_requests=256,
    max_records=5000,
    max_body_mb=1,
    limits=RATES,
    inference_log=INFERENCE_LOG,
)


def expected_probability(record: dict[str, Any], bias: float = 0.0) -> float:
    """What the tiny model gives: a logistic function of sex, age and family size."""
    sex = {"female": 2.0, "male": -1.0}.get(record["Sex"], 0.25)
    age = 30.0 if record.get("Age") is None else record["Age"]
    family = record["SibSp"] + record["Parch"] + 1
    return float(1.0 / (1.0 + np.exp(-(sex - 0.01 * age - 0.1 * family + bias))))


def tiny_model(bias: float = 0.0) -> bytes:
    """The tiny model as ONNX, with the inputs and the output that a scorer expects."""

    def constant(name: str, value: float) -> Any:
        return helper.make_tensor(name, TensorProto.FLOAT, [1, 1], [value])

    nodes = [
        helper.make_node(
            "LabelEncoder",
            ["Sex"],
            ["sex"],
            domain="ai.onnx.ml",
            keys_strings=["female", "male"],
            values_floats=[2.0, -1.0],
            default_float=0.25,
        ),
        helper.make_node("IsNaN", ["Age"], ["no_age"]),
        helper.make_node("Where", ["no_age", "usual_age", "Age"], ["age"]),
        helper.make_node("Mul", ["age", "by_age"], ["aged"]),
        helper.make_node("Mul", ["FamilySize", "by_family"], ["related"]),
        helper.make_node("Sum", ["sex", "aged", "related", "bias"], ["margin"]),
        helper.make_node("Sigmoid", ["margin"], ["share"]),
        helper.make_node("Cast", ["share"], ["wide"], to=TensorProto.DOUBLE),
        helper.make_node("Flatten", ["wide"], ["flat"], axis=0),
        helper.make_node("Squeeze", ["flat", "first"], ["probability"]),
    ]
    inputs = [
        helper.make_tensor_value_info(name, kind, [None, 1])
        for name, kind in (
            ("Age", TensorProto.FLOAT),
            ("FamilySize", TensorProto.FLOAT),
            ("Sex", TensorProto.STRING),
        )
    ]
    output = helper.make_tensor_value_info("probability", TensorProto.DOUBLE, [None])
    constants = [
        constant("usual_age", 30.0),
        constant("by_age", -0.01),
        constant("by_family", -0.1),
        constant("bias", bias),
        helper.make_tensor("first", TensorProto.INT64, [1], [0]),
    ]
    graph = helper.make_graph(nodes, "tiny", inputs, [output], constants)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def write_tiny_bundle(folder: Path, bias: float = 0.0, **changed: Any) -> None:
    """Writes a whole bundle; ``changed`` replaces facts."""
    model = tiny_model(bias)
    facts = BundleFacts(
        problem="titanic",
        contract_fingerprint=TITANIC.contract.fingerprint(),
        family="lr",
        threshold=THRESHOLD,
        run_id="run",
        data_version="data",
        git_commit="commit",
        metrics={"auc": 0.8},
        model_sha256=hashlib.sha256(model).hexdigest(),
    )
    write_bundle(folder, model, facts.model_copy(update=changed))


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def artifact_server(folder: Path) -> Iterator[str]:
    """Stands for the registry's artifact store: real HTTP over a folder; yields its address."""
    handler = partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


OWN_TOKEN = f"ph_own_{'0' * 64}"


def admission(
    folder: Path, *keys: AdmittedKey, required: bool = False, limits: RateParams = RATES
) -> Admission:
    """What replicas are told of keys; the own one is ``OWN_TOKEN``."""
    return Admission(
        required=required,
        keys=keys,
        own_sha256=digest_of(OWN_TOKEN),
        limits=limits,
        use=folder / "key-use",
    )


class FixedKeys(KeyRing):
    """Keys without files and a database; the own one is ``OWN_TOKEN``."""

    def __init__(self, access: Admission) -> None:
        self._access = access

    @property
    def required(self) -> bool:
        return self._access.required

    def admission(self) -> Admission:
        return self._access

    def own_token(self) -> str:
        return OWN_TOKEN


def open_gate() -> Gate:
    """A gate that asks for no key."""
    gate = Gate()
    gate.apply({"access": admission(Path("/nowhere")).model_dump(mode="json")})
    return gate


def user_config(cache: Path, **models: BundleRef) -> dict[str, Any]:
    """A ``user_config`` as it arrives in a replica: plain JSON, and open to everybody."""
    return {
        "models": {
            name: {"production": ref.model_dump(mode="json")} for name, ref in models.items()
        },
        "cache": str(cache),
        "good_models": str(cache.parent / "good-models"),
        "packages": list(PACKAGES),
        "inference": {
            "folder": str(cache.parent / "inference"),
            "log": INFERENCE_LOG.model_dump(mode="json"),
        },
        "labels": str(cache.parent / "labels"),
        "metrics": str(cache.parent / "metrics"),
        "access": admission(cache.parent).model_dump(mode="json"),
        "max_records": 5000,
        "max_body_mb": 1,
    }
