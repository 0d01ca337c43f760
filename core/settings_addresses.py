"""The settings that say where an installation listens, and the addresses that follow.

Where a port is bound, where our own processes reach it and where people find it are three
things once the host is not the loopback address.
"""

from __future__ import annotations

from platform import node
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

from core.hosts import (
    EVERYWHERE,
    LOOPBACK,
    address_of,
    another_address,
    host_of,
    is_exposed,
    is_loopback,
    one_address,
    whole_url,
)

_Url = Annotated[str, AfterValidator(whole_url)]


class AddressSettings(BaseModel):
    """Hosts, ports and certificate; part of ``core.settings.Settings``."""

    host: Annotated[str, AfterValidator(one_address)] = Field(
        default=LOOPBACK, description="Address that the panel and the served models bind."
    )
    panel_port: int = Field(default=8501, description="Port of the panel.")
    serving_port: int = Field(default=8000, description="Port of the served models.")
    mlflow_port: int = Field(default=5000, description="Port of MLflow.")
    ray_dashboard_port: int = Field(default=8265, description="Port of Ray's dashboard and jobs.")
    ray_address: _Url = Field(
        default="",
        description="Dashboard of a Ray cluster that is there already, `http://head:8265`; empty "
        "starts one here. `RAY_ADDRESS` counts where this is not set.",
    )
    mlflow_address: _Url = Field(
        default="",
        description="MLflow server that is there already; empty starts one here.",
    )
    cluster_host: Annotated[str, AfterValidator(another_address)] = Field(
        default=LOOPBACK,
        description="Address by which other nodes reach Ray and MLflow on this machine; a "
        "loopback address keeps both on it.",
    )
    panel_public_url: _Url = Field(
        default="", description="Where people open the panel, if not at its host and port."
    )
    serving_public_url: _Url = Field(
        default="", description="Where callers find the served models, if not at host and port."
    )
    serving_address: _Url = Field(
        default="",
        description="Where our own processes reach the served models, if not beside Ray's head.",
    )
    allow_open: bool = Field(
        default=False,
        description="Let other machines in although nobody signs in or no keys are asked for.",
    )
    tls_cert_file: str = Field(
        default="",
        description="Certificate of the panel and the served models, with its chain, as PEM.",
    )
    tls_key_file: str = Field(default="", description="Private key of that certificate, as PEM.")

    @property
    def is_loopback(self) -> bool:
        """Whether the panel and the served models are reached from this machine only."""
        return not is_exposed(self.host, (self.panel_public_url, self.serving_public_url))

    @property
    def mlflow_url(self) -> str:
        """Base address of the MLflow server."""
        return self.mlflow_address or address_of("http", self.cluster_host, self.mlflow_port)

    @property
    def ray_dashboard_url(self) -> str:
        """Base address of Ray's dashboard and job API."""
        return self.ray_address or address_of("http", self.cluster_host, self.ray_dashboard_port)

    @property
    def is_one_machine(self) -> bool:
        """Whether Ray's nodes, and MLflow, speak to each other over the loopback only."""
        return is_loopback(self.cluster_host)

    @property
    def serving_url(self) -> str:
        """Where our own processes reach the served models: beside Ray's head."""
        host = host_of(self.ray_address) or self.host
        return self.serving_address or address_of(self.scheme, host, self.serving_port)

    @property
    def panel_url(self) -> str:
        """Where our own processes reach the panel."""
        return address_of(self.scheme, self.host, self.panel_port)

    @property
    def panel_link(self) -> str:
        """Where people open the panel, as far as it can be said without a browser."""
        host = node() if self.host == EVERYWHERE else self.host
        return self.panel_public_url or address_of(self.scheme, host, self.panel_port)

    @property
    def panel_names(self) -> tuple[str, ...]:
        """Host names under which a browser may open the panel; ``*`` stands for any.

        A page elsewhere must not be able to talk to the panel by pointing a name of its own
        at it, and where we know all good names, none but these are answered.
        """
        if self.host == EVERYWHERE and not self.panel_public_url:
            return ("*",)
        public = host_of(self.panel_public_url)
        own = "" if self.host == EVERYWHERE else self.host
        names = dict.fromkeys(("localhost", LOOPBACK, "::1", own, public))
        return tuple(name for name in names if name)

    @property
    def scheme(self) -> str:
        """How the panel and the served models are spoken to."""
        return "https" if self.tls_cert_file else "http"
