"""What this installation tells its replicas of keys, and the key by which it asks them itself.

The installation's own key lets the panel's form and the health of versions work where keys
are required. It is a file that only its owner may read, is no user's key and is listed
nowhere.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from core.access.admission import Admission
from core.access.serving_key import PREFIX, digest_of, draw_token
from core.access.use import key_use_folder
from core.adapters.database_keys import KeyRecords
from core.errors import SetupError
from core.kept_files import keep_secret
from core.params_rates import RateParams
from core.settings import Settings

_OWN_ID = "own"


class KeyRing:
    """The keys of one installation, as its replicas have to know them."""

    def __init__(self, settings: Settings, limits: RateParams, records: KeyRecords) -> None:
        self._settings = settings
        self._limits = limits
        self._records = records

    @property
    def required(self) -> bool:
        """Whether a request without a key is refused."""
        return self._settings.keys_required

    def admission(self) -> Admission:
        """What replicas have to know now.

        Raises:
            UnavailableError: the database does not answer.
            SetupError: the own key cannot be read or made.
        """
        return Admission(
            required=self.required,
            keys=self._records.admitted(datetime.now(UTC)),
            own_sha256=digest_of(self.own_token()),
            limits=self._limits,
            use=key_use_folder(self._settings.home),
        )

    def own_token(self) -> str:
        """The installation's own key; made where there is none, by one process for all.

        Raises:
            SetupError: it cannot be read or made.
        """
        path = own_key_file(self._settings.home)
        try:
            token = keep_secret(path, lambda: draw_token(_OWN_ID).encode()).decode("ascii").strip()
        except (OSError, UnicodeDecodeError) as exc:
            raise SetupError(
                f"The installation's own key cannot be read from {path}.",
                fix="Check its rights, or delete it: another one is made.",
            ) from exc
        if not token.startswith(PREFIX):
            raise SetupError(
                f"The file {path} holds no key.", fix="Delete it: another one is made."
            )
        return token


def own_key_file(home: Path) -> Path:
    """File of the installation's own key."""
    return home / "secrets" / "serving.key"
