"""What has to hold before a program that is started by itself may start.

``pilothouse up`` makes sure of more before it starts anything. Where an orchestrator starts the
programs one by one, it runs this before each of them:

    python -m core.start_check [--door] [FILE ...]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from core.access.exposure import require_safe, unencrypted, without_login
from core.access.login import login_of
from core.errors import PilothouseError, SetupError
from core.settings import Settings, load_settings

#: Stands in every example of a secret.
PLACEHOLDER = "CHANGE-ME"


def require_filled(files: Sequence[Path]) -> None:
    """Refuses secrets that nobody has chosen.

    Raises:
        SetupError: a file cannot be read, is empty or still holds the example's value.
    """
    for file in files:
        try:
            secret = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise SetupError(
                f"The secret {file} cannot be read.",
                fix="Check that it is mounted, and its rights.",
            ) from exc
        wrong = _what_is_wrong(secret)
        if wrong:
            raise SetupError(
                f"The secret {file} {wrong}.",
                fix="Put a value of your own there (deploy/kuberay/README.md).",
            )


def _what_is_wrong(secret: str) -> str:
    if not secret.strip():
        return "is empty"
    if PLACEHOLDER in secret:
        return "still holds the placeholder of the example"
    # Some read the file without its last line break, others take it for a part of the secret.
    return "begins or ends with a blank or a line break" if secret != secret.strip() else ""


def require_safe_start(settings: Settings) -> tuple[str, ...]:
    """Refuses a start that would let strangers in; returns what else should be said.

    Raises:
        SetupError: strangers could come in, or a login lacks something.
    """
    # What a login lacks is said before anything starts.
    login_of(settings)
    if settings.is_loopback and settings.is_one_machine:
        return ()
    # Brings every vendor with it, which takes seconds that secrets alone need not wait for.
    from core.bootstrap import connect

    exposure = connect(settings).exposure
    require_safe(exposure)
    return tuple(filter(None, (unencrypted(exposure), without_login(exposure))))


def main(arguments: Sequence[str] | None = None) -> int:
    """Checks what it is told to; returns the exit code and says why it refuses."""
    parser = argparse.ArgumentParser(prog="core.start_check", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="secrets, one each")
    parser.add_argument(
        "--door",
        action="store_true",
        help="refuse, as `pilothouse up` does, where strangers could come in",
    )
    wanted = parser.parse_args(arguments)
    try:
        require_filled(wanted.files)
        if wanted.door:
            require_safe_start(load_settings())
    except PilothouseError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
