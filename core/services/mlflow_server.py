"""Starts MLflow's server on the database that was given, out of sight of other users.

MLflow takes the address from its environment as well as from its command line; only the
first is hidden from who else is on the machine. It becomes this process, so that the process
manager stops it as any other program.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from core.errors import SetupError
from core.settings import inherited_environment, load_settings


def main() -> None:
    """Becomes MLflow's server; what follows on the command line is for it.

    Raises:
        SetupError: nothing was given, it is no address, or its file cannot be read.
    """
    address = load_settings().given_mlflow_database
    if not address:
        # MLflow would begin a store of its own wherever it stands.
        raise SetupError(
            "MLflow was given no database.",
            fix="Give one in PILOTHOUSE_MLFLOW_DATABASE_URL, and run `make up`.",
        )
    program = str(Path(sys.executable).with_name("mlflow"))
    os.execve(  # noqa: S606 - a program of this virtual environment
        sys.executable,
        (sys.executable, program, "server", *sys.argv[1:]),
        {**inherited_environment(), "MLFLOW_BACKEND_STORE_URI": address},
    )


if __name__ == "__main__":
    main()
