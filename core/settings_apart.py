"""The settings of an installation that is not to touch the one beside it."""

from __future__ import annotations

from pathlib import Path

from core.settings import Settings

#: The settings of the addresses at which an installation answers.
PUBLISHED_PORTS = ("panel_port", "serving_port", "mlflow_port", "ray_dashboard_port")
#: What the machine needs, whoever starts an installation on it.
_OF_THE_MACHINE = ("serving_proxy", "ray_cpus", "start_timeout_s", "telemetry", "log_level")


def settings_apart(settings: Settings, home: Path, **own: object) -> Settings:
    """An installation on the same machine as that of ``settings``, as it is delivered.

    Neither its records and data nor its people, nor whoever is told of alerts, are those of
    ``settings``, wherever those were set.

    Args:
        settings: the installation beside it.
        home: where the other one keeps everything.
        own: what is set for it.
    """
    delivered = {
        name: field.get_default(call_default_factory=True)
        for name, field in Settings.model_fields.items()
        if name not in _OF_THE_MACHINE
    }
    return settings.model_copy(update={**delivered, "home": home, **own})


def ports_above(settings: Settings, distance: int) -> dict[str, int]:
    """The published ports of an installation that runs beside that of ``settings``."""
    return {name: getattr(settings, name) + distance for name in PUBLISHED_PORTS}
