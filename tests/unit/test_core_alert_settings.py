"""The addresses of receivers: where they come from, and that they are not told."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from core.bootstrap_watching import connect_receivers
from core.errors import SetupError
from core.params import load_params
from core.settings import CODE_ROOT, Settings, load_settings

TOKEN = "T0pSecretToken"
URL = f"json://host/{TOKEN}"


def test_addresses_come_from_the_variable_or_from_a_file(tmp_path: Path) -> None:
    assert Settings().alert_urls == ()
    assert Settings(alert_url=SecretStr(f" {URL}  json://other ")).alert_urls == (
        URL,
        "json://other",
    )
    file = tmp_path / "urls"
    file.write_text(f"{URL}\njson://other\n", encoding="utf-8")
    assert Settings(alert_url_file=str(file)).alert_urls == (URL, "json://other")


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="PILOTHOUSE_ALERT_URL_FILE"):
        _ = Settings(alert_url_file=str(tmp_path / "gone")).alert_urls


def test_a_file_is_found_from_the_folder_of_the_operator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PILOTHOUSE_ALERT_URL_FILE", "urls")
    assert load_settings().alert_url_file == str(tmp_path / "urls")


def test_the_secret_is_shown_nowhere_and_passed_on_to_services() -> None:
    settings = Settings(alert_url=SecretStr(URL))
    assert TOKEN not in repr(settings)
    assert TOKEN not in settings.model_dump_json()
    assert settings.variables()["PILOTHOUSE_ALERT_URL"] == URL


def test_without_an_address_nobody_is_told() -> None:
    params = load_params(CODE_ROOT / "params.yaml")
    assert connect_receivers(Settings(), params) is None
    assert connect_receivers(Settings(alert_url=SecretStr(URL)), params) is not None
