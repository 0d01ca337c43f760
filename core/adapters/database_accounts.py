"""Accounts in Pilothouse's database. A removed one stays, so that its name stays taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from core.access.account import Account, Source
from core.access.roles import Role
from core.adapters.database import Database
from core.adapters.database_tables import METADATA, Also, Row, utc
from core.errors import ConflictError

ACCOUNTS = sa.Table(
    "accounts",
    METADATA,
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("source", sa.String(16), nullable=False),
    # No two accounts share a token; those who only log in have none.
    sa.Column("token_sha256", sa.String(64), unique=True),
    sa.Column("token_issued_by", sa.String(128), nullable=False, default=""),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("last_seen_at", sa.DateTime(timezone=True)),
    sa.Column("removed_at", sa.DateTime(timezone=True)),
)
_ACTIVE = ACCOUNTS.c.removed_at.is_(None)


class AccountRecords:
    """Reads and writes accounts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, account: Account, also: Also | None = None) -> None:
        """Writes a new account.

        Raises:
            ConflictError: the name is taken.
        """
        try:
            with self._database.begin(also) as connection:
                connection.execute(ACCOUNTS.insert().values(**_values(account)))
        except IntegrityError as exc:
            raise ConflictError(
                f"There is an account {account.name} already.",
                fix="`pilothouse users list` shows every account.",
            ) from exc

    def save(
        self,
        account: Account,
        also: Also | None = None,
        require: Callable[[Sequence[Account]], None] | None = None,
    ) -> None:
        """Writes what has changed of an account, unless ``require`` objects.

        It is shown all accounts as they are in this transaction; what ``also`` writes keeps
        others out who change accounts.
        """
        of_it = ACCOUNTS.c.name == account.name
        with self._database.begin(also) as connection:
            if require is not None:
                require(_all(connection))
            connection.execute(ACCOUNTS.update().where(of_it).values(**_values(account)))

    def note_seen(self, account: Account, at: datetime) -> Account:
        """Writes when somebody was last seen, and nothing else of the account."""
        of_it = ACCOUNTS.c.name == account.name
        with self._database.begin() as connection:
            connection.execute(ACCOUNTS.update().where(of_it).values(last_seen_at=at))
        return replace(account, last_seen_at=at)

    def find(self, name: str) -> Account | None:
        """An account, removed or not."""
        return self._one(ACCOUNTS.c.name == name)

    def active(self, name: str) -> Account | None:
        """An account that may still be used."""
        return self._one((ACCOUNTS.c.name == name) & _ACTIVE)

    def by_token(self, token_sha256: str) -> Account | None:
        """Whose token it is, if the account may still be used."""
        return self._one((ACCOUNTS.c.token_sha256 == token_sha256) & _ACTIVE)

    def list(self) -> tuple[Account, ...]:
        """Every account by name, removed ones as well."""
        with self._database.begin() as connection:
            found = _all(connection)
        # Databases differ in what comes first in an alphabet.
        return tuple(sorted(found, key=lambda account: account.name))

    def any_active(self) -> bool:
        """Whether anybody has an account that may be used."""
        return self._any(_ACTIVE)

    def has_admin(self) -> bool:
        """Whether anybody may manage accounts."""
        return self._any(_ACTIVE & (ACCOUNTS.c.role == Role.ADMIN.value))

    def _any(self, condition: sa.ColumnElement[bool]) -> bool:
        with self._database.begin() as connection:
            found = connection.execute(sa.select(ACCOUNTS.c.name).where(condition).limit(1))
            return found.first() is not None

    def _one(self, condition: sa.ColumnElement[bool]) -> Account | None:
        with self._database.begin() as connection:
            row = connection.execute(ACCOUNTS.select().where(condition)).mappings().first()
        return _account(row) if row else None


def _all(connection: sa.Connection) -> tuple[Account, ...]:
    return tuple(_account(row) for row in connection.execute(ACCOUNTS.select()).mappings())


def _values(account: Account) -> dict[str, object]:
    return asdict(account) | {"role": account.role.value, "source": account.source.value}


def _account(row: Row) -> Account:
    times = {name: utc(row[name]) if row[name] else None for name in ("last_seen_at", "removed_at")}
    own = {name: row[name] for name in Account.__dataclass_fields__}
    kinds = {"role": Role(row["role"]), "source": Source(row["source"])}
    return Account(**{**own, **kinds, **times, "created_at": utc(row["created_at"])})
