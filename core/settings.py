"""Every setting of an installation; the only reader of the environment.

A setting is an environment variable ``PILOTHOUSE_<NAME>``. Each is declared
here once with its default and its meaning; ``docs/settings.md`` lists them and a
test holds the two together. How models are trained and served is not a
setting but a parameter: see ``params.py``.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.errors import SetupError
from core.settings_addresses import AddressSettings
from core.settings_databases import DatabaseSettings, sqlite_address
from core.settings_login import LoginSettings
from core.settings_secrets import read_secret
from core.settings_store import CHECKSUMS, STORE_KEY, StoreSettings

CODE_ROOT = Path(__file__).resolve().parent.parent
#: Set by Ray in the processes of its jobs.
_JOB_MARK = "RAY_JOB_CONFIG_JSON_ENV_VAR"


class Settings(AddressSettings, DatabaseSettings, LoginSettings, StoreSettings, BaseSettings):
    """One installation: where it keeps its state and where it listens."""

    model_config = SettingsConfigDict(
        env_prefix="PILOTHOUSE_",
        # A workflow or a Compose file hands on what was not set as an empty text.
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        # A secret in the wrong variable would be in the trace of an error.
        hide_input_in_errors=True,
    )

    home: Path = Field(
        default=CODE_ROOT / ".pilothouse",
        description="Folder of all state: database, MLflow store, workspaces, logs, pids.",
    )
    ray_token: bool = Field(
        default=True, description="Have Ray ask for a token, which only this installation knows."
    )
    ray_auth_token_file: str = Field(
        default="", description="File of Ray's token; empty means `secrets/ray.token` in the home."
    )
    params_file: Path = Field(
        default=CODE_ROOT / "params.yaml", description="File of the parameters."
    )
    problem_packages: str = Field(
        default="core.problems",
        description="Python packages that hold problems, separated by commas.",
    )
    require_keys: Literal["auto", "yes", "no"] = Field(
        default="auto",
        description="Whether served models ask callers for a key: `yes`, `no`, or `auto`, "
        "which asks unless the published ports bind a loopback address.",
    )
    serving_proxy: Literal["haproxy", "python"] = Field(
        default="haproxy",
        description="What takes requests for served models: `haproxy`, or `python`, Ray's own, "
        "which is far slower.",
    )
    ray_cpus: int = Field(
        default=0,
        ge=0,
        description="CPUs that Ray declares on this machine; 0 means all physical cores.",
    )
    operator: str = Field(
        default="operator",
        max_length=128,
        description="Name of the one local operator in records.",
    )
    token: SecretStr = Field(
        default=SecretStr(""),
        exclude=True,
        description="Token of the account under which commands act. A secret.",
    )
    token_file: str = Field(
        default="",
        exclude=True,
        description="File that holds what `PILOTHOUSE_TOKEN` would.",
    )
    telemetry: bool = Field(
        default=False,
        description="Let Streamlit, Ray, MLflow, DVC and NannyML report usage to their makers.",
    )
    log_level: str = Field(default="INFO", description="Least severe level that is logged.")
    start_timeout_s: float = Field(
        default=180.0, gt=0, description="Seconds a service may take to become healthy."
    )
    alert_url: SecretStr = Field(
        default=SecretStr(""),
        description="Where alerts are sent, as Apprise addresses with spaces between. A secret.",
    )
    alert_url_file: str = Field(
        default="", description="File that holds what `PILOTHOUSE_ALERT_URL` would."
    )
    audit_key_file: str = Field(
        default="",
        description="File of the audit trail's key; empty means `secrets/audit.key` in the home.",
    )
    audit_anchor_file: str = Field(
        default="",
        description="File of the audit trail's anchor; empty means `audit/anchor` in the home.",
    )

    @property
    def packages(self) -> tuple[str, ...]:
        """Packages that hold problems, in order of search."""
        return tuple(part.strip() for part in self.problem_packages.split(",") if part.strip())

    @property
    def database_address(self) -> str:
        """SQLAlchemy address of Pilothouse's database; it may hold a password.

        Raises:
            SetupError: what was given is no address, or its file cannot be read.
        """
        return self.given_database or sqlite_address(self.home / "pilothouse.db")

    @property
    def ray_token_file(self) -> Path | None:
        """File of the token that Ray asks for; ``None`` where it asks for none."""
        if not self.ray_token:
            return None
        return Path(self.ray_auth_token_file or self.home / "secrets" / "ray.token")

    @property
    def keys_required(self) -> bool:
        """Whether the served models refuse a caller without a key."""
        if self.require_keys == "auto":
            return not self.is_loopback
        return self.require_keys == "yes"

    @property
    def audit_key(self) -> Path:
        """File of the key of the audit trail."""
        return Path(self.audit_key_file or self.home / "secrets" / "audit.key")

    @property
    def audit_anchor(self) -> Path:
        """File of the anchor of the audit trail."""
        return Path(self.audit_anchor_file or self.home / "audit" / "anchor")

    @property
    def alert_urls(self) -> tuple[str, ...]:
        """Addresses of those who are told of alerts; empty where nobody is.

        Raises:
            SetupError: the file that should hold them cannot be read.
        """
        return tuple(read_secret("ALERT_URL", self.alert_url, self.alert_url_file).split())

    @property
    def given_token(self) -> str:
        """The token that a command was given; empty where none was.

        Raises:
            SetupError: the file that should hold it cannot be read.
        """
        return read_secret("TOKEN", self.token, self.token_file)

    def public(self) -> dict[str, str]:
        """Every setting that is no secret, as text."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return {k: str(value) for k, value in values.items() if not isinstance(value, SecretStr)}

    def variables(self) -> dict[str, str]:
        """Every setting of services as its variable, secrets as they are.

        The token of whoever runs a command is theirs and no service's.
        """
        fields = type(self).model_fields
        values = {name: getattr(self, name) for name in fields if not fields[name].exclude}
        plain = {
            name: value.get_secret_value() if isinstance(value, SecretStr) else value
            for name, value in values.items()
        }
        return {variable_of(name): str(value) for name, value in plain.items()}

    def secret_variables(self) -> tuple[str, ...]:
        """Which of ``variables`` hold secrets."""
        fields = type(self).model_fields.items()
        return tuple(
            variable_of(name)
            for name, field in fields
            if not field.exclude and isinstance(getattr(self, name), SecretStr)
        )

    def without_secrets(self, *, keep: Collection[str] = ()) -> Settings:
        """The same settings with every secret left blank but those that work needs."""
        names = (name for name in type(self).model_fields if name not in keep)
        secret = (name for name in names if isinstance(getattr(self, name), SecretStr))
        return self.model_copy(update=dict.fromkeys(secret, SecretStr("")))


def variable_of(name: str) -> str:
    """The environment variable of a setting."""
    return f"PILOTHOUSE_{name.upper()}"


#: The variables of the key of the S3 store.
STORE_KEY_VARIABLES = tuple(map(variable_of, STORE_KEY))


def load_settings() -> Settings:
    """Reads the settings from the environment.

    Raises:
        SetupError: a variable has a value that its setting cannot take.
    """
    try:
        cluster = _named_by_ray()
        settings = Settings(ray_address=cluster) if cluster else Settings()
    except ValidationError as exc:
        first = exc.errors()[0]
        name = "PILOTHOUSE_" + "_".join(str(part) for part in first["loc"]).upper()
        raise SetupError(
            f"The setting {name} is not usable: {first['msg'].removeprefix('Value error, ')}.",
            fix="docs/settings.md lists what each setting takes.",
        ) from exc
    places: dict[str, object] = {"home": settings.home.expanduser().resolve()}
    for name in type(settings).model_fields:
        # Services do not start in the folder that the operator stands in.
        file = getattr(settings, name)
        if name.endswith("_file") and isinstance(file, str) and file:
            places[name] = str(Path(file).expanduser().resolve())
    return settings.model_copy(update=places)


def _named_by_ray() -> str:
    """The cluster that Ray's own variable names; empty where ours says, or there is none."""
    given = os.environ.get("RAY_ADDRESS", "")
    # In a job Ray itself has set the variable, to an address of another kind.
    if not given or variable_of("ray_address") in os.environ or _JOB_MARK in os.environ:
        return ""
    if not given.startswith(("http://", "https://")):
        raise SetupError(
            f"RAY_ADDRESS is {given}, which is no dashboard.",
            fix="Set it to the cluster's dashboard, such as http://head:8265, or unset it.",
        )
    return given


def vendor_privacy() -> dict[str, str]:
    """Variables by which each vendor is told not to report usage to its maker."""
    return {
        "RAY_USAGE_STATS_ENABLED": "0",
        "NML_DISABLE_USAGE_LOGGING": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DVC_NO_ANALYTICS": "1",
        "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false",
        "DO_NOT_TRACK": "1",
    }


def silence_vendors() -> None:
    """Sets ``vendor_privacy`` in this process, unless the user turned telemetry on."""
    if not load_settings().telemetry:
        os.environ.update(vendor_privacy())
    # A line on standard output for every run that is closed, also for each candidate.
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    # With artifacts in an S3 store its server would send clients there, by signed addresses. They
    # need not reach the store, so everything passes through the server.
    os.environ["MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD"] = "false"
    os.environ["MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD"] = "false"


def be_impatient() -> None:
    """Makes MLflow's client give up in seconds, so that a page says soon what is down.

    Left as it is, it tries for minutes; that suits a run's own process, which keeps it.
    """
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")


def leave_out_checksums() -> None:
    """Has the clients of S3 in this process that take no options of ours leave checksums out."""
    for name, value in CHECKSUMS.items():
        os.environ.setdefault(name, value)


def inherited_environment() -> Mapping[str, str]:
    """The environment a child process starts from; read here so that nobody else does."""
    return dict(os.environ)
