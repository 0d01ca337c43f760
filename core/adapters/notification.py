"""Sends messages to people and programs by way of Apprise.

An address holds secrets, such as the token of a chat room. It is neither logged nor part of
an error.
"""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import Sequence
from urllib.parse import parse_qsl, quote, unquote, unquote_plus, urlencode, urlsplit

import apprise

from core.domain_watching import Level
from core.errors import PilothouseError, SetupError, UnavailableError
from core.monitoring.messages import Message

#: Schemes of webhooks that take fields of their own beside title and text.
WEBHOOKS = frozenset({"json", "jsons", "xml", "xmls", "form", "forms"})
#: Shorter parts of an address are words, not secrets.
SECRET_LENGTH = 4
_TYPES = {
    Level.OK: apprise.NotifyType.SUCCESS,
    Level.WARNING: apprise.NotifyType.WARNING,
    Level.CRITICAL: apprise.NotifyType.FAILURE,
}


class Receivers:
    """Everybody who is told of alerts: one address of Apprise each."""

    def __init__(self, urls: Sequence[str], timeout_s: float) -> None:
        self._urls = tuple(urls)
        self._timeout_s = timeout_s
        # Both write down addresses as they are: Apprise those that it does not understand,
        # the other, at level DEBUG, those that it calls.
        own = logging.getLogger("apprise")
        own.propagate = False
        own.addHandler(logging.NullHandler())
        logging.getLogger("urllib3").setLevel(logging.WARNING)

    def send(self, message: Message) -> None:
        """Sends to every receiver; returns once all of them have taken the message.

        Raises:
            SetupError: Apprise does not know an address.
            UnavailableError: a receiver did not take the message; others may have.
        """
        failures: list[PilothouseError] = []
        for url in self._urls:
            try:
                self._send(url, message)
            except PilothouseError as exc:
                failures.append(exc)
        if failures:
            raise failures[0]

    def _send(self, url: str, message: Message) -> None:
        try:
            self._hand_over(url, message)
        except PilothouseError:
            raise
        except Exception as exc:  # noqa: BLE001 - any of a hundred plug-ins may be at work
            # Not as its cause: what it says, and its trace in a log, may hold the address.
            raise UnavailableError(
                f"A receiver of alerts could not be asked ({type(exc).__name__})."
            ) from None

    def _hand_over(self, url: str, message: Message) -> None:
        with apprise.LogCapture(level=logging.WARNING, fmt="%(message)s") as log:  # type: ignore[no-untyped-call]
            receiver = apprise.Apprise.instantiate(_with_fields(url, message))
            if receiver is None:
                raise SetupError(
                    "The setting PILOTHOUSE_ALERT_URL holds an address that Apprise does not know.",
                    fix="docs/watching.md shows how addresses look.",
                )
            receiver.socket_connect_timeout = receiver.socket_read_timeout = self._timeout_s
            taken = receiver.notify(
                title=message.title,
                body=message.body,
                notify_type=_TYPES.get(message.level, apprise.NotifyType.INFO),
            )
            said = without_secrets(" ".join(log.getvalue().split()), url)
        if not taken:
            raise UnavailableError(
                f"A receiver of alerts did not take the message: {said or 'it gave no reason.'}"
            )


def _with_fields(url: str, message: Message) -> str:
    if urlsplit(url).scheme.lower() not in WEBHOOKS or not message.fields:
        return url
    # Apprise's way of adding fields to the JSON of a webhook.
    fields = urlencode({f":{name}": value for name, value in message.fields.items()})
    return f"{url}{'&' if '?' in url else '?'}{fields}"


def without_secrets(text: str, url: str) -> str:
    """Takes everything out of a text that stands in an address, but for a webhook's host."""
    parts = urlsplit(url)
    found = [url, parts.username, parts.password, *parts.path.split("/")]
    found += [value for _, value in parse_qsl(parts.query)]
    if parts.scheme.lower() not in WEBHOOKS:
        found.append(parts.netloc)
    # As it is written in the address, as the receiver reads it, and as it is sent.
    written = [part for part in found if part]
    forms = [form(part) for part in written for form in (str, unquote, unquote_plus, quote)]
    if parts.username:
        forms.append(b64encode(f"{parts.username}:{parts.password or ''}".encode()).decode())
    secrets = {part for part in forms if len(part) >= SECRET_LENGTH}
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "…")
    return text
