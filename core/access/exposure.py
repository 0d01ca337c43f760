"""Whether other machines may be let in: pure functions of what settings and accounts say."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import SetupError
from core.hosts import LOOPBACK, is_exposed, is_loopback

ALLOW_OPEN = "PILOTHOUSE_ALLOW_OPEN"


@dataclass(frozen=True)
class Exposure:
    """What decides whether strangers can come in, and what for.

    ``public_urls`` are those under which a proxy publishes the panel and the served models:
    behind one, the loopback address is no protection.
    """

    host: str
    public_urls: tuple[str, ...] = ()
    #: What is bound at ``host`` speaks TLS itself.
    has_tls: bool = False
    #: A provider of logins is configured.
    has_login: bool = False
    has_accounts: bool = False
    #: One of the accounts may manage the others.
    has_admin: bool = False
    #: Callers of the served models are asked for a key.
    keys_required: bool = True
    allow_open: bool = False
    #: Where the nodes of the cluster reach Ray, and whether it asks them for a token.
    cluster_host: str = LOOPBACK
    has_ray_token: bool = True

    @property
    def is_exposed(self) -> bool:
        """Whether other machines can reach the panel or the served models."""
        return is_exposed(self.host, self.public_urls)

    @property
    def ray_is_open(self) -> bool:
        """Whether other machines reach a Ray that asks them for nothing."""
        return not is_loopback(self.cluster_host) and not self.has_ray_token


def openings(exposure: Exposure) -> tuple[str, ...]:
    """Every way in which strangers could come in, a sentence each; none where all is shut."""
    found = []
    if exposure.ray_is_open:
        found.append("Ray asks for no token, and runs what it is sent.")
    if not exposure.is_exposed:
        return tuple(found)
    if not exposure.has_login and not exposure.has_accounts:
        found.append("Nobody has to sign in to the panel.")
    elif not exposure.has_login and not exposure.has_admin:
        found.append("None of the accounts is an admin, so nobody can manage people and keys.")
    if not exposure.keys_required:
        found.append("Callers of the served models need no key.")
    return tuple(found)


def require_safe(exposure: Exposure) -> None:
    """Refuses to let other machines in through an open door.

    Raises:
        SetupError: with every opening, unless the settings accept them.
    """
    found = openings(exposure)
    if not found or exposure.allow_open:
        return
    raise SetupError(
        f"Other machines could reach this installation ({_places(exposure)}): {' '.join(found)}",
        fix=f"{_fix(exposure)} Or accept it with {ALLOW_OPEN}=true.",
    )


def without_login(exposure: Exposure) -> str:
    """What to say where other machines reach a service that has no login; empty where none do."""
    if is_loopback(exposure.cluster_host):
        return ""
    return (
        f"MLflow and Ray answer at {exposure.cluster_host}, and MLflow asks nobody who they are: "
        "let only the machines of the cluster reach it (docs/cluster.md)."
    )


def unencrypted(exposure: Exposure) -> str:
    """What to say where tokens and keys travel in the clear; empty where they do not."""
    behind_proxy = is_loopback(exposure.host) and all(
        url.startswith("https://") for url in exposure.public_urls if url
    )
    if not exposure.is_exposed or exposure.has_tls or behind_proxy:
        return ""
    return (
        "Tokens, keys and data travel unencrypted: set PILOTHOUSE_TLS_CERT_FILE, or put a "
        "proxy in front that speaks TLS (docs/security.md)."
    )


def _places(exposure: Exposure) -> str:
    named = {"PILOTHOUSE_HOST": exposure.host, "PILOTHOUSE_CLUSTER_HOST": exposure.cluster_host}
    places = [f"{name}={host}" for name, host in named.items() if not is_loopback(host)]
    return ", ".join([*places, *(f"published at {url}" for url in exposure.public_urls if url)])


def _fix(exposure: Exposure) -> str:
    steps = []
    if exposure.ray_is_open:
        steps.append("Set PILOTHOUSE_RAY_TOKEN to true.")
    if exposure.is_exposed and not exposure.has_login and not exposure.has_admin:
        steps.append(
            "Add an admin with `pilothouse users add NAME --role admin`, or configure OIDC "
            "(docs/security.md)."
        )
    if exposure.is_exposed and not exposure.keys_required:
        steps.append("Set PILOTHOUSE_REQUIRE_KEYS to auto or yes.")
    return " ".join(steps)
