"""Starts MLflow's server on the database and the S3 store that were given, out of sight of others.

MLflow takes the address of a database from its environment as well as from its command line;
only the first is hidden from who else is on the machine. The key of a store it takes from its
environment alone. It becomes this process, so that the process manager stops it as any other
program.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from core.errors import SetupError
from core.settings import inherited_environment, load_settings

_DATABASE = "--backend-store-uri"
_OTHER_KEY = ("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_PROFILE")


def main() -> None:
    """Becomes MLflow's server; what follows on the command line is for it.

    Raises:
        SetupError: no database was given, it is no address, the store's settings are not
            usable, or a file cannot be read.
    """
    settings = load_settings()
    address, store = settings.given_mlflow_database, settings.store
    if not address and _DATABASE not in sys.argv:
        # MLflow would begin a store of its own wherever it stands.
        raise SetupError(
            "MLflow was given no database.",
            fix="Give one in PILOTHOUSE_MLFLOW_DATABASE_URL, and run `make up`.",
        )
    environment = dict(inherited_environment())
    if address:
        environment["MLFLOW_BACKEND_STORE_URI"] = address
    if store:
        if store.key_id:
            # What the user's shell has of another key does not belong to this one.
            environment = {k: v for k, v in environment.items() if k not in _OTHER_KEY}
        environment |= store.variables()
    program = str(Path(sys.executable).with_name("mlflow"))
    os.execve(  # noqa: S606 - a program of this virtual environment
        sys.executable, (sys.executable, program, "server", *sys.argv[1:]), environment
    )


if __name__ == "__main__":
    main()
