"""The files of the audit trail outside the database: its key and its anchor.

The anchor is one small file that is replaced, not one that grows: the chain covers every row
before the newest, so an older anchor proves nothing more, and a rename is there wholly or
not at all, while a last line may be torn.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import PilothouseError, RefusedError, SetupError, UnavailableError
from core.kept_files import locked, sync_folder, write_durably
from core.promotion.audit_verify import BEGINNING, Anchor, open_anchor, seal

KEY_BYTES = 32


def load_key(path: Path, anchor: Path) -> bytes:
    """Reads the key; where there is none yet, makes it, and with it the anchor's beginning.

    Several processes may ask at once; all get the same. A process that dies in between
    leaves a key under a hidden name, with which the next one goes on. An anchor that is there
    already is left as it is: where only the key is gone, that has to show.

    Args:
        path: the file of the key.
        anchor: the file of the anchor.

    Raises:
        SetupError: the key cannot be read or made, or is shorter than 32 bytes.
    """
    try:
        if not path.exists():
            with locked(path):
                if not path.exists():
                    _make_key(path, anchor)
        key = path.read_bytes()
    except (OSError, UnavailableError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else exc
        raise SetupError(
            f"The key of the audit trail cannot be read from {path} ({why}).",
            fix="Check its path and rights; PILOTHOUSE_AUDIT_KEY_FILE names another file.",
        ) from exc
    if len(key) < KEY_BYTES:
        raise SetupError(
            f"The key of the audit trail in {path} has {len(key)} bytes.",
            fix=f"Give it {KEY_BYTES} random bytes or put back the one from your backup.",
        )
    return key


def _make_key(path: Path, anchor: Path) -> None:
    """Makes the key under a hidden name, then the anchor, then gives the key its name."""
    unborn = path.with_name(f".{path.name}.new")
    if not unborn.exists() or unborn.stat().st_size != KEY_BYTES:
        write_durably(unborn, secrets.token_bytes(KEY_BYTES))
    if not anchor.exists():
        AnchorFile(anchor, unborn.read_bytes()).write(BEGINNING)
    unborn.rename(path)
    sync_folder(path.parent)


class AnchorFile:
    """The anchor in ``path``, sealed under ``key``."""

    def __init__(self, path: Path, key: bytes) -> None:
        self.path = path
        self._key = key

    def text(self) -> str | None:
        """What the file holds, whatever that is; ``None`` if it is not there.

        Raises:
            UnavailableError: it cannot be read.
        """
        try:
            return self.path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise self._unavailable("read", exc) from exc

    def read(self) -> Anchor | None:
        """The anchor; ``None`` if it is missing or was not sealed under the key."""
        text = self.text()
        return None if text is None else open_anchor(self._key, text)

    def write(self, anchor: Anchor) -> None:
        """Replaces the anchor; on return the disk has it.

        Raises:
            UnavailableError: it cannot be written; the one before is still there.
        """
        try:
            write_durably(self.path, seal(self._key, anchor).encode())
        except OSError as exc:
            raise self._unavailable("written", exc) from exc

    def advance(self, newest: Anchor, hash_at: Callable[[int], str | None]) -> None:
        """Moves the anchor to the newest row, if the trail is still the one it was set on.

        Args:
            newest: the newest row.
            hash_at: tells the hash of a row by its number.

        Raises:
            UnavailableError: the anchor cannot be read or written.
            RefusedError: the anchor is missing or forged, or the row that it names is gone.
        """
        with self.turn():
            set_on = self.read()
            if set_on is not None and set_on.sequence >= newest.sequence:
                # Another process has been faster; or rows are gone, which ``verify`` says.
                return
            if set_on is None or hash_at(set_on.sequence) != set_on.hash:
                raise RefusedError(
                    "The audit trail is not the one that its anchor was set on.",
                    fix="`pilothouse audit verify` says what is wrong.",
                )
            self.write(newest)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Keeps every other process from moving the anchor meanwhile.

        Raises:
            UnavailableError: the lock beside the anchor cannot be made.
        """
        try:
            with locked(self.path):
                yield
        except OSError as exc:
            raise self._unavailable("locked", exc) from exc

    def _unavailable(self, doing: str, exc: OSError) -> PilothouseError:
        return UnavailableError(
            f"The anchor of the audit trail, {self.path}, cannot be {doing} ({exc.strerror}).",
            fix="Check the disk and its rights; PILOTHOUSE_AUDIT_ANCHOR_FILE names another file.",
        )
