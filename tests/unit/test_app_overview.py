from __future__ import annotations

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app.components import addresses
from app.components.addresses import serving_address_for
from core.access.exposure import Exposure
from core.domain import RunStatus
from core.domain_serving import Health, ServiceStatus
from core.errors import UnavailableError
from core.settings import Settings
from tests.unit.app_fakes import (
    active_run,
    make_core,
    make_request,
    make_run,
    open_panel,
    services,
    texts,
)
from tests.unit.app_promotion_fakes import make_promotion


def test_says_what_serves_since_when_and_by_whom(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = open_panel(monkeypatch, make_core(make_run(2), make_run(1), production=2))
    said = texts(panel)
    assert "Production v2" in said
    assert "Logistic Regression" in said
    assert "0.884" in said
    assert "0.844 to 0.914" in [metric.delta for metric in panel.metric]
    assert "UTC (2 h ago)" in said
    assert "decided by pilothouse (bootstrap)" in said
    assert "Healthy services: 5 of 5" in said


def test_empty_installation_says_how_to_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    said = texts(open_panel(monkeypatch, make_core()))
    assert "No version is in Production yet" in said
    assert "In Production: 0 of 1" in said


def test_open_request_leads_to_its_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core(make_run(2), make_run(1), production=1)
    core.promotions.listed = [make_request(2)]
    panel = open_panel(monkeypatch, core)
    said = texts(panel)
    assert "**titanic v2** waits for a person, judged against v1 in Production." in said
    assert "Gates: 3 pass, 1 fail." in said
    assert "Waiting for approval: 1" in said
    links = {one.proto.label: one.proto.query_string for one in panel.get("page_link")}
    assert links["Evidence and decision"] == "request=req-2"
    assert links["What served when"] == "problem=titanic&view=Production+over+time"
    assert "1 candidate waits for approval" in links


def test_active_run_shows_stage_and_percent(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = open_panel(monkeypatch, make_core(active_run(3)))
    assert "Active runs: 1" in texts(panel)
    assert panel.get("progress")[0].proto.text == "45 % · train · candidate 5 of 12: Random Forest"


def test_service_that_is_down_is_named_with_its_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core()
    core.health.services = services(down=("mlflow",), starting=("serving",))
    panel = open_panel(monkeypatch, core)
    said = texts(panel)
    assert "Healthy services: 3 of 5" in said
    assert "Down: MLflow" in [metric.delta for metric in panel.metric]
    assert "Nothing answers at http://127.0.0.1:5000. Run `make up`." in said
    assert "Starting" in said


def test_text_of_others_is_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core(make_run(1))
    core.promotions.record = [
        make_promotion(1, decided_by="[ada](http://evil)", reason="better than v_0_ for $5 and $6")
    ]
    health = [(Health.DOWN, "no [answer](http://evil)"), (Health.STARTING, "it *loads*")]
    core.health.services = tuple(ServiceStatus("mlflow", "", *one) for one in health)
    said = texts(open_panel(monkeypatch, core))
    assert "decided by \\[ada\\](http://evil) (bootstrap)" in said
    assert "better than v\\_0\\_ for \\$5 and \\$6" in said
    assert "no \\[answer\\](http://evil)" in said
    assert "it \\*loads\\*" in said


def test_one_failing_reading_leaves_the_rest_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core(make_run(1), production=1)
    core.experiments.failure = UnavailableError("MLflow does not answer.", fix="Run make up.")
    core.runs.failure = UnavailableError("The store does not answer.", fix="Run make up.")
    panel = open_panel(monkeypatch, core)
    said = texts(panel)
    assert "Production v1" in said
    assert "Active runs: unknown" in said
    assert [warning.value for warning in panel.warning] == [
        "**MLflow does not answer.**\n\nRun make up.",
        "**The store does not answer.**\n\nRun make up.",
    ]
    assert not panel.error


def test_unforeseen_failure_shows_no_trace(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    core = make_core(make_run(1, RunStatus.FINISHED), production=1)

    def broken() -> tuple[Health, ...]:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(core.health, "check", broken)
    panel = open_panel(monkeypatch, core)
    said = texts(panel)
    assert "Something went wrong" in said
    assert "secret detail" not in said
    assert not panel.exception
    reference = said.split("reference ")[1].split(";")[0]
    assert reference in caplog.text
    assert "secret detail" in caplog.text


def test_installation_that_cannot_be_opened_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core()
    module = core.as_module()

    def refuse() -> None:
        raise UnavailableError("The database cannot be opened.", fix="Free some disk.")

    monkeypatch.setattr(module, "connect", refuse)
    monkeypatch.setattr(type(core), "as_module", lambda self: module)
    panel = open_panel(monkeypatch, core)
    assert "The database cannot be opened." in texts(panel)
    assert not panel.exception


def test_operator_is_told_how_far_the_panel_reaches(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core()
    said = "\n".join(one.value for one in open_panel(monkeypatch, core).sidebar.caption)
    assert said == "You act as **operator**: one local operator, loopback only."
    assert not open_panel(monkeypatch, core).sidebar.warning


def test_every_page_says_how_strangers_could_come_in(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core()
    core.exposure = Exposure("0.0.0.0", keys_required=False, allow_open=True)
    for page in ("", "data", "audit"):
        (warning,) = open_panel(monkeypatch, core, page).sidebar.warning
        assert "Nobody has to sign in" in warning.value
        assert "need no key" in warning.value


@pytest.mark.parametrize(
    ("settings", "opened_at", "address"),
    [
        ({}, "127.0.0.1", "http://127.0.0.1:8000"),
        ({}, "localhost", "http://127.0.0.1:8000"),
        ({"host": "0.0.0.0"}, "ml.example.org", "http://ml.example.org:8000"),
        ({"host": "10.0.0.5"}, "10.0.0.5", "http://10.0.0.5:8000"),
        ({"host": "::1", "tls_cert_file": "c.pem"}, "::1", "https://[::1]:8000"),
        (
            {"serving_public_url": "https://models.example.org/"},
            "panel.example.org",
            "https://models.example.org",
        ),
    ],
)
def test_a_browser_is_told_the_address_that_it_can_open(settings, opened_at, address):
    assert serving_address_for(Settings(**settings), opened_at) == address


def links_out(panel: AppTest) -> list[Any]:
    """Links of the sidebar to what is not a page of the panel."""
    links = [one.proto for one in panel.sidebar.get("page_link")]
    return [link for link in links if link.external]


def test_links_that_another_machine_cannot_open_are_not_offered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    core = make_core()
    here = links_out(open_panel(monkeypatch, core))
    assert [link.label for link in here] == ["API of the models", "MLflow", "Ray dashboard"]
    assert "ray.token" in here[2].help

    monkeypatch.setattr(addresses, "_opened_at", lambda: "ml.example.org")
    elsewhere = open_panel(monkeypatch, core)
    assert [link.label for link in links_out(elsewhere)] == ["API of the models"]
    said = elsewhere.sidebar.caption[-1].value
    assert "5000 and 8265" in said
    assert "SSH" in said
