"""What is taken from the environment."""

from __future__ import annotations

import pytest

from core.settings import Settings, load_settings, variable_of


@pytest.mark.parametrize(
    "name", ["home", "host", "cluster_host", "panel_port", "require_keys", "oidc_name_claim"]
)
def test_what_is_empty_is_not_set(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(variable_of(name), raising=False)
    left_alone = load_settings()
    monkeypatch.setenv(variable_of(name), "")
    assert getattr(load_settings(), name) == getattr(left_alone, name)
    assert getattr(Settings(), name)
