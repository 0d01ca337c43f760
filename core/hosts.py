"""Host names and addresses: which are this machine's own, and where to reach what they bind."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

LOOPBACK = "127.0.0.1"
#: All addresses of a machine; nobody can connect to it.
EVERYWHERE = "0.0.0.0"  # noqa: S104 - named, not bound


def address_of(scheme: str, host: str, port: int) -> str:
    """The URL at which a process on this machine reaches a port that is bound at ``host``."""
    reached = LOOPBACK if host == EVERYWHERE else host
    return f"{scheme}://{f'[{reached}]' if ':' in reached else reached}:{port}"


def host_of(url: str) -> str:
    """The host of a URL, without the brackets of IPv6; empty where it names none."""
    return urlsplit(url).hostname or ""


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine only."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_exposed(host: str, public_urls: Sequence[str] = ()) -> bool:
    """Whether what is bound at ``host``, or published at a URL, is seen by other machines."""
    return not is_loopback(host) or any(not is_loopback(host_of(url)) for url in public_urls if url)


def one_address(host: str) -> str:
    """Refuses what each of our servers would take for something else.

    Raises:
        ValueError: it is not one address or name.
    """
    if host.strip() in ("", "*", "::"):
        raise ValueError(f"give one address or name, or {EVERYWHERE} for all of IPv4")
    return host


def another_address(host: str) -> str:
    """Refuses what another machine could not connect to; the loopback is no other machine.

    Raises:
        ValueError: it is not one address or name.
    """
    if host.strip() in ("", "*", "::", EVERYWHERE):
        raise ValueError("give the one address or name by which other nodes reach this machine")
    return host


def whole_url(url: str) -> str:
    """A URL without the slash at its end; empty stays empty.

    Raises:
        ValueError: it does not say how to speak, or to whom.
    """
    if url and not (url.startswith(("http://", "https://")) and host_of(url)):
        raise ValueError("give it whole, such as https://pilothouse.example.org")
    return url.rstrip("/")
