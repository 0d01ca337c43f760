"""Secrets that stand out, and a search for them in everything that was written."""

from __future__ import annotations

import secrets
import stat
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from pydantic import SecretStr

from core.settings import Settings, variable_of
from core.settings_databases import DatabaseSettings

#: Where secrets are kept on purpose, below the home; only their owner may read them.
KEPT_IN = "secrets"


@dataclass(frozen=True)
class Planted:
    """Secret settings, as variables, and the texts that must be found nowhere."""

    variables: Mapping[str, str]
    texts: tuple[str, ...]

    def settings(self) -> dict[str, Any]:
        """The secret settings of services; the token of whoever runs a command is not one."""
        services = Settings().secret_variables()
        names = {name: variable_of(name) for name in Settings.model_fields}
        return {
            name: SecretStr(self.variables[variable])
            for name, variable in names.items()
            if variable in services and variable in self.variables
        }

    def with_texts(self, *more: str) -> Planted:
        """The same with other texts that must be found nowhere."""
        return Planted(self.variables, (*self.texts, *more))

    def in_text(self, said: str) -> list[str]:
        """Which of the texts somebody said."""
        return self._found(said.encode("utf-8", "surrogateescape"))

    def below(self, *folders: Path) -> dict[str, list[str]]:
        """Files below these folders, and which of the texts each holds."""
        places: dict[str, list[str]] = {}
        for file in _files(folders):
            found = self._found(str(file).encode() + b"\0" + file.read_bytes())
            if found:
                places[str(file)] = found
        return places

    def _found(self, content: bytes) -> list[str]:
        return [text for text in self.texts if any(form in content for form in _forms(text))]


NO_DATABASES: Mapping[str, str] = MappingProxyType({})
#: No secret at all.
NOTHING = Planted({}, ())


def plant(receiver: str, databases: Mapping[str, str] = NO_DATABASES) -> Planted:
    """A value of its own for every secret setting, found by looking at the declarations.

    ``receiver`` is the host and port to which alerts go. ``databases`` has an address that
    works for each setting of a database; a setting that has none is not given.
    """
    variables, texts = {}, []
    for name, value in Settings():
        if not isinstance(value, SecretStr):
            continue
        if name in DatabaseSettings.model_fields:
            if name in databases:
                variables[variable_of(name)] = databases[name]
                texts.append(unquote(urlsplit(databases[name]).password or ""))
            continue
        secret = f"Planted-{secrets.token_hex(8)}"
        texts.append(secret)
        if name == "alert_url":
            user, query = f"User-{secrets.token_hex(8)}", f"Query-{secrets.token_hex(8)}"
            texts += [user, query]
            secret = f"json://{user}:{secret}@{receiver}/{secret}?key={query}"
        variables[variable_of(name)] = secret
    return Planted(variables, tuple(texts))


def kept_openly(home: Path) -> list[str]:
    """Files in the place for secrets that others than their owner may read."""
    files = _files([home / KEPT_IN])
    return [str(file) for file in files if stat.S_IMODE(file.stat().st_mode) & 0o077]


def _forms(text: str) -> Iterator[bytes]:
    """A text as it is, in an address, in Basic authentication, and in Java's and JSON's way."""
    raw = text.encode()
    yield raw
    yield quote(text, safe="").encode()
    yield text.encode("utf-16-le")
    yield from (b64encode(b"\0" * shift + raw)[4 : -4 - shift] for shift in range(3))


def _files(folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                yield path
