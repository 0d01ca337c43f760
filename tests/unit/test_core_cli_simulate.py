"""The installation beside the real one in which days pass quickly."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from core.cli_simulate import PORTS_APART, simulation_settings
from core.settings import Settings


def test_it_plays_the_problems_of_the_real_one_and_tells_nobody(tmp_path: Path) -> None:
    real = Settings(
        home=tmp_path,
        params_file=tmp_path / "mine.yaml",
        problem_packages="core.problems,mine",
        operator="ann",
        panel_port=9501,
        database_url="postgresql://host/real",
        alert_url=SecretStr("json://chat.example.org"),
    )
    own = simulation_settings(real)
    assert own.home == tmp_path / "simulation"
    assert own.panel_port == 9501 + PORTS_APART
    assert (own.params_file, own.problem_packages) == (real.params_file, real.problem_packages)
    assert own.operator == "ann"
    assert own.database_address == f"sqlite:///{own.home}/pilothouse.db"
    assert own.alert_urls == ()
