"""What Ray Serve is told, and how its answers and the server's are read."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from core.access.admission import AdmittedKey
from core.access.serving_key import Scope
from core.adapters.serve import ServeClient
from core.deployment.answers import REPLICA_HEADER
from core.deployment.endpoint import EndpointConfig, HttpOptions, Places, application_config
from core.deployment.serving import ServingService
from core.domain_serving import Health
from core.errors import InvalidInputError, NotFoundError, SetupError, UnavailableError
from core.scoring.bundle import BundleRef
from core.settings import Settings
from tests.serving_support import (
    INFERENCE_LOG,
    OWN_TOKEN,
    SERVING,
    FixedKeys,
    admission,
    user_config,
)

PARAMS = SERVING.model_copy(update={"max_replicas": 3, "max_records": 10, "max_body_mb": 2})
REF = BundleRef(problem="titanic", version=4, url="http://registry/4")
HTTP = HttpOptions(host="127.0.0.1", port=8000)
PLACES = Places(
    cache=Path("/cache"),
    good_models=Path("/good"),
    inference=Path("/inference"),
    labels=Path("/labels"),
    metrics=Path("/metrics"),
    rollouts=Path("/rollouts"),
)
DESCRIBED = {
    "problem": "titanic",
    "version": 4,
    "run_id": "run",
    "family": "gbt",
    "threshold": 0.5,
    "title": "more than we read",
}

Answers = dict[str, tuple[int, Any]]
REPLICA = "a"


def transport_of(answers: Answers, seen: list[httpx.Request] | None = None) -> httpx.MockTransport:
    """Answers ``METHOD /path``; anything else refuses the connection."""

    def handle(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append(request)
        found = answers.get(f"{request.method} {request.url.path}")
        if found is None:
            raise httpx.ConnectError("refused")
        status, body = found
        if isinstance(body, str):
            return httpx.Response(status, text=body)
        return httpx.Response(status, json=body, headers={REPLICA_HEADER: REPLICA})

    return httpx.MockTransport(handle)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILOTHOUSE_HOME", str(tmp_path))


def ring(*keys: AdmittedKey, required: bool = False) -> FixedKeys:
    return FixedKeys(admission(Path("/home"), *keys, required=required))


def ray_state(status: str = "RUNNING", deployment: str = "HEALTHY", message: str = "") -> Any:
    replicas = [
        {"state": "RUNNING", "replica_id": REPLICA},
        {"state": "STARTING", "replica_id": "b"},
    ]
    endpoint = {"status": deployment, "message": message, "replicas": replicas}
    application = {"status": status, "message": "", "deployments": {"endpoint": endpoint}}
    return {"applications": {"pilothouse": application}}


def service_of(ray: Answers, served: Answers) -> ServingService:
    return ServingService(
        Settings(),
        PARAMS,
        ServeClient("http://ray", transport=transport_of(ray)),
        ["titanic", "other"],
        ring(),
        transport=transport_of(served),
    )


RAY = {"GET /api/serve/applications/": (200, ray_state())}
READY = (200, {"status": "ready", "problems": {"titanic": {"version": 4, "failure": ""}}})
NO_OTHER = (404, {"error": {"code": "not_found", "message": "No model.", "details": []}})
SERVED: Answers = {
    "GET /readyz": READY,
    "GET /problems/titanic": (200, DESCRIBED),
    "GET /problems/other": NO_OTHER,
}


def test_the_configuration_says_everything() -> None:
    config = application_config(
        PARAMS,
        HTTP,
        places=PLACES,
        packages=("core.problems",),
        models={"titanic": REF},
        access=admission(Path("/home")),
    ).model_dump(mode="json")
    assert config["proxy_location"] == "HeadOnly"
    assert config["http_options"] == HTTP.model_dump()
    (application,) = config["applications"]
    assert application["import_path"] == "serve.deployment:application"
    assert application["route_prefix"] == "/"
    (deployment,) = application["deployments"]
    assert deployment["max_ongoing_requests"] == 256
    assert deployment["ray_actor_options"] == {"num_cpus": 0.0}
    assert deployment["autoscaling_config"]["max_replicas"] == 3
    assert deployment["user_config"] == {
        "models": {"titanic": {"production": REF.model_dump(), "beside": None}},
        "cache": "/cache",
        "good_models": "/good",
        "packages": ["core.problems"],
        "inference": {"folder": "/inference", "log": INFERENCE_LOG.model_dump()},
        "labels": "/labels",
        "metrics": "/metrics",
        "rollouts": "/rollouts",
        "access": admission(Path("/home")).model_dump(mode="json"),
        "max_records": 10,
        "max_body_mb": 2,
    }


def test_a_model_under_another_problems_name_is_refused() -> None:
    document = user_config(Path("/cache"), other=REF)
    with pytest.raises(ValidationError, match="other is given a model of titanic"):
        EndpointConfig.model_validate(document)


def test_deploy_puts_the_configuration_with_the_token(tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    seen: list[httpx.Request] = []
    transport = transport_of({"PUT /api/serve/applications/": (200, "")}, seen)
    service = ServingService(
        Settings(), PARAMS, ServeClient("http://ray", token_file, transport), [], ring()
    )
    service.deploy({"titanic": REF})
    # The first start makes it, when the panel may have been opened already.
    token_file.write_text("secret\n")
    service.deploy({"titanic": REF})
    before, request = seen
    assert "authorization" not in before.headers
    assert request.headers["authorization"] == "Bearer secret"
    body = json.loads(request.content)
    config = body["applications"][0]["deployments"][0]["user_config"]
    assert config["models"]["titanic"]["production"]["version"] == 4


def handed_out(deployed: Any, keys: FixedKeys) -> tuple[bool, list[Any]]:
    """What ``hand_out_keys`` says, and the bodies it puts, where ``deployed`` runs."""
    application = ray_state()["applications"]["pilothouse"] | {"deployed_app_config": deployed}
    seen: list[httpx.Request] = []
    answers: Answers = {
        "GET /api/serve/applications/": (200, {"applications": {"pilothouse": application}}),
        "PUT /api/serve/applications/": (200, ""),
    }
    client = ServeClient("http://ray", transport=transport_of(answers, seen))
    said = ServingService(Settings(), PARAMS, client, [], keys).hand_out_keys()
    return said, [json.loads(request.content) for request in seen if request.method == "PUT"]


KEY = AdmittedKey(
    id="a",
    problem="titanic",
    scopes=(Scope.PREDICT,),
    sha256="0" * 64,
    expires_at=datetime(2100, 1, 1, tzinfo=UTC),
    requests_per_second=None,
)


def deployed_with(*keys: AdmittedKey) -> Any:
    """What Ray holds after ``deploy``, with something in it that we know nothing of."""
    config = application_config(
        PARAMS,
        HTTP,
        places=PLACES,
        packages=("core.problems",),
        models={"titanic": REF},
        access=admission(Path("/home"), *keys),
    ).model_dump(mode="json")
    return config["applications"][0] | {"runtime_env": {}}


def test_handing_out_keys_changes_the_keys_and_nothing_else() -> None:
    said, (put,) = handed_out(deployed_with(), ring(KEY))
    assert said
    assert put["applications"] == [deployed_with(KEY)]
    assert put["http_options"] == HTTP.model_dump()
    assert put["proxy_location"] == "HeadOnly"


def test_keys_that_replicas_have_are_not_handed_out_again() -> None:
    assert handed_out(deployed_with(KEY), ring(KEY)) == (False, [])
    assert handed_out(deployed_with(), ring()) == (False, [])
    said, (put,) = handed_out(deployed_with(KEY), ring())
    assert (said, put["applications"]) == (True, [deployed_with()])


def test_where_nothing_is_deployed_no_keys_are_handed_out() -> None:
    assert handed_out(None, ring(KEY)) == (False, [])
    with pytest.raises(UnavailableError, match="something other"):
        handed_out({"deployments": []}, ring())
    empty: Answers = {"GET /api/serve/applications/": (200, {"applications": {}})}
    assert not service_of(empty, {}).hand_out_keys()
    with pytest.raises(UnavailableError):
        service_of({}, {}).hand_out_keys()


#: As KubeRay puts a RayService's, which says nothing to replicas.
BLANK = (
    {"deployments": [{"name": "endpoint", "user_config": None}]},
    {"deployments": [{"name": "endpoint"}]},
)


@pytest.mark.parametrize("deployed", BLANK)
def test_what_somebody_else_has_put_without_a_model_is_told_as_that(deployed: Any) -> None:
    state = ray_state()
    state["applications"]["pilothouse"]["deployed_app_config"] = deployed
    ray: Answers = {"GET /api/serve/applications/": (200, state)}

    assert service_of(ray, SERVED).status().is_blank
    # Also where no replica answers yet.
    assert service_of(ray, {}).status().is_blank
    # There is nothing whose keys could be changed: the reconciler puts it as a whole.
    assert handed_out(deployed, ring(KEY)) == (False, [])


def test_what_we_have_put_ourselves_is_not_blank() -> None:
    state = ray_state()
    state["applications"]["pilothouse"]["deployed_app_config"] = deployed_with(KEY)

    assert not service_of({"GET /api/serve/applications/": (200, state)}, SERVED).status().is_blank
    assert not service_of(RAY, SERVED).status().is_blank


def test_we_ask_under_our_own_key_where_keys_are_required() -> None:
    def headers(required: bool) -> list[str | None]:
        seen: list[httpx.Request] = []
        service = ServingService(
            Settings(),
            PARAMS,
            ServeClient("http://ray", transport=transport_of(RAY)),
            ["titanic"],
            ring(required=required),
            transport=transport_of(SERVED, seen),
        )
        assert service.status().served
        return [request.headers.get("authorization") for request in seen]

    assert set(headers(True)) == {f"Bearer {OWN_TOKEN}"}
    assert set(headers(False)) == {None}


def test_a_refusal_of_our_own_key_is_no_fault_of_the_record() -> None:
    error = {"code": "unauthorized", "message": "This key is not taken.", "details": []}
    with pytest.raises(UnavailableError, match="own key yet"):
        predictor(401, {"error": error})("titanic", {})


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (400, SetupError, "refused the configuration: it is wrong"),
        (500, UnavailableError, "could not start Serve: it is wrong"),
        (401, UnavailableError, "does not know our token"),
        (None, UnavailableError, "dashboard does not answer"),
    ],
)
def test_failures_of_ray_are_translated(
    status: int | None, error: type[Exception], words: str
) -> None:
    answers: Answers = {}
    if status is not None:
        answers["PUT /api/serve/applications/"] = (status, "Traceback\n  line\nit is wrong\n")
    with pytest.raises(error, match=words):
        service_of(answers, {}).deploy({})


def test_states_of_ray() -> None:
    def state_of(document: Any) -> Any:
        answers: Answers = {"GET /api/serve/applications/": (200, document)}
        return ServeClient("http://ray", transport=transport_of(answers)).status()

    running = state_of(ray_state())
    assert (running.health, running.replicas, running.settled) == (Health.HEALTHY, 1, True)
    assert not state_of(ray_state("DEPLOYING", "UPDATING")).settled
    assert state_of(ray_state("DEPLOYING", "UPDATING")).health is Health.STARTING
    failed = state_of(ray_state("DEPLOY_FAILED", "UNHEALTHY", "Trace\nno such module\n"))
    assert (failed.health, failed.detail) == (Health.DOWN, "no such module")
    empty = state_of({"applications": {}})
    assert (empty.health, empty.detail) == (Health.DOWN, "No model is deployed.")
    with pytest.raises(UnavailableError, match="something other"):
        state_of({"surprise": 1})


def test_status_tells_what_is_served() -> None:
    status = service_of(RAY, SERVED).status()
    assert (status.health, status.replicas, status.detail) == (Health.HEALTHY, 1, "")
    (served,) = status.served
    assert (served.problem, served.version, served.family) == ("titanic", 4, "gbt")


def test_being_down_is_a_status() -> None:
    assert service_of({}, SERVED).status().health is Health.DOWN
    status = service_of(RAY, {}).status()
    assert (status.health, status.detail) == (Health.DOWN, "The served models do not answer.")
    starting: Answers = {"GET /api/serve/applications/": (200, ray_state("DEPLOYING", "UPDATING"))}
    assert service_of(starting, {}).status().health is Health.STARTING
    stranger: Answers = {"GET /readyz": (200, "<html>")}
    assert "Something other" in service_of(RAY, stranger).status().detail


def test_a_problem_that_is_not_loaded_shows_in_the_status() -> None:
    details = [{"field": "other", "problem": "no files"}]
    unready = {"code": "not_ready", "message": "Not every model.", "details": details}
    status = service_of(RAY, {**SERVED, "GET /readyz": (503, {"error": unready})}).status()
    assert (status.health, status.detail) == (Health.HEALTHY, "other: no files")


def test_a_log_that_loses_rows_is_told() -> None:
    def detail(**log: object) -> str:
        ready = (200, {**READY[1], "inference_log": log})
        return service_of(RAY, {**SERVED, "GET /readyz": ready}).status().detail

    assert detail(lost_rows=0, failure="") == ""
    assert detail(lost_rows=1200, failure="") == (
        "1,200 answered rows are not in the inference log."
    )
    assert detail(lost_rows=2, failure="No space left on device") == (
        "The inference log cannot be written: No space left on device. "
        "2 answered rows are not in the inference log."
    )


def predictor(status: int, body: Any) -> Callable[..., Any]:
    answers: Answers = {"POST /predict/titanic": (status, body)}
    return service_of(RAY, answers).predict


def test_a_prediction_is_read() -> None:
    prediction = {"label": 1, "probability": 0.75}
    body = {"request_id": "id", "model_version": 4, "predictions": [prediction]}
    answer = predictor(200, body)("titanic", {"Age": None})
    assert (answer.request_id, answer.model_version) == ("id", 4)
    assert (answer.label, answer.probability) == (1, 0.75)
    assert answer.latency_ms > 0


def test_refusals_become_offences() -> None:
    details = [
        {"field": "records[0].home.dest", "problem": "unknown field"},
        {"field": "records[0]", "problem": "must be an object"},
        {"field": "records", "problem": "is required"},
    ]
    error = {"code": "invalid_input", "message": "The request breaks 3 rules.", "details": details}
    with pytest.raises(InvalidInputError, match="3 rules") as refused:
        predictor(422, {"error": error})("titanic", {})
    places = [(offence.row, offence.field) for offence in refused.value.offences]
    assert places == [(0, "home.dest"), (0, ""), (None, "records")]


def test_numbers_that_json_lacks_are_refused_before_sending() -> None:
    with pytest.raises(InvalidInputError) as refused:
        predictor(200, {})("titanic", {"Age": float("nan"), "Fare": 1.0})
    assert [offence.field for offence in refused.value.offences] == ["Age"]


def test_other_refusals() -> None:
    error = {"code": "x", "message": "No model is served.", "details": []}
    with pytest.raises(NotFoundError, match="No model"):
        predictor(404, {"error": error})("titanic", {})
    with pytest.raises(UnavailableError, match="No model"):
        predictor(503, {"error": error})("titanic", {})
    with pytest.raises(UnavailableError, match="Something other"):
        predictor(500, "Internal Server Error")("titanic", {})


def test_waiting_ends_when_the_version_answers() -> None:
    service_of(RAY, SERVED).wait_until_serving("titanic", 4, timeout_s=0)


def test_waiting_ends_at_once_when_the_version_cannot_be_loaded() -> None:
    broken = {"status": "ready", "problems": {"titanic": {"version": 4, "failure": "bad model"}}}
    service = service_of(RAY, {**SERVED, "GET /readyz": (200, broken)})
    with pytest.raises(UnavailableError, match="cannot be loaded: bad model"):
        service.wait_until_serving("titanic", 5, timeout_s=60)


def test_waiting_ends_in_time() -> None:
    with pytest.raises(UnavailableError, match=r"after 0 s: Version 4 answers\."):
        service_of(RAY, SERVED).wait_until_serving("titanic", 5, timeout_s=0)
    rolling: Answers = {"GET /api/serve/applications/": (200, ray_state("DEPLOYING", "UPDATING"))}
    with pytest.raises(UnavailableError, match="still rolling it out"):
        service_of(rolling, SERVED).wait_until_serving("titanic", 4, timeout_s=0)


def waits_for(*replicas: tuple[str, int, str]) -> Callable[[int], None]:
    """Waits for a version of several replicas: name, version, failure; they answer in turn."""
    state = ray_state()
    endpoint = state["applications"]["pilothouse"]["deployments"]["endpoint"]
    endpoint["replicas"] = [{"state": "RUNNING", "replica_id": name} for name, _, _ in replicas]
    turns = cycle(replicas)

    def handle(request: httpx.Request) -> httpx.Response:
        name, version, failure = next(turns)
        problems = {"titanic": {"version": version, "failure": failure}}
        return httpx.Response(200, json={"problems": problems}, headers={REPLICA_HEADER: name})

    ray: Answers = {"GET /api/serve/applications/": (200, state)}
    client = ServeClient("http://ray", transport=transport_of(ray))
    transport = httpx.MockTransport(handle)
    service = ServingService(Settings(), PARAMS, client, ["titanic"], ring(), transport=transport)
    return lambda version: service.wait_until_serving("titanic", version, timeout_s=0)


def test_waiting_asks_every_replica() -> None:
    waits_for(("a", 4, ""), ("b", 4, ""))(4)
    with pytest.raises(UnavailableError, match="Not every replica answers with the same version"):
        waits_for(("a", 4, ""), ("b", 3, ""))(4)
    # The first that is asked has it: that is no reason to say that all have.
    with pytest.raises(UnavailableError, match="cannot be loaded: registry away"):
        waits_for(("a", 4, ""), ("b", 3, "registry away"))(4)


def test_waiting_goes_on_while_a_replica_is_not_heard() -> None:
    quiet = ray_state()
    endpoint = quiet["applications"]["pilothouse"]["deployments"]["endpoint"]
    endpoint["replicas"].append({"state": "RUNNING", "replica_id": "quiet"})
    ray: Answers = {"GET /api/serve/applications/": (200, quiet)}
    with pytest.raises(UnavailableError, match="Not every replica answers"):
        service_of(ray, SERVED).wait_until_serving("titanic", 4, timeout_s=0)


def test_shutdown_is_a_delete() -> None:
    service_of({"DELETE /api/serve/applications/": (200, "")}, {}).shutdown()
    with pytest.raises(UnavailableError):
        service_of({}, {}).shutdown()


@pytest.mark.parametrize("proxy", ["haproxy", "python"])
def test_ray_itself_opens_the_door_where_its_own_proxy_is_wanted(proxy: str) -> None:
    """HAProxy is opened by our launcher, and Ray stays on the loopback behind it."""
    seen: list[httpx.Request] = []
    transport = transport_of({"PUT /api/serve/applications/": (200, "")}, seen)
    settings = Settings(
        host="0.0.0.0",
        serving_port=9000,
        serving_proxy=proxy,
        tls_cert_file="/c.pem",
        tls_key_file="/k.pem",
    )
    client = ServeClient("http://ray", None, transport)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("core.deployment.serving.own_clients", lambda _: True)
        ServingService(settings, PARAMS, client, [], ring()).deploy({"titanic": REF})
    told = json.loads(seen[0].content)["http_options"]
    direct = proxy == "python"
    assert told == {
        "host": "0.0.0.0" if direct else "127.0.0.1",
        "port": 9000,
        "ssl_certfile": "/c.pem" if direct else None,
        "ssl_keyfile": "/k.pem" if direct else None,
    }
