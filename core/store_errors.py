"""What a store of files that fails is called: one sentence, and where to look."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from core.errors import UnavailableError


@contextmanager
def store_errors(what: str, *, is_in_home: bool) -> Iterator[None]:
    """Tells a failure of the file system as one of ours, a file that is missing too.

    Args:
        what: what is kept there, such as ``the inference log``.
        is_in_home: whether that is the disk of the home; otherwise it is the S3 store.

    Raises:
        UnavailableError: the disk or the store has failed.
    """
    try:
        yield
    except OSError as exc:
        said = str(exc).strip().rstrip(".") or type(exc).__name__
        if is_in_home:
            raise UnavailableError(
                f"The files of {what} in the home cannot be used: {said}.",
                fix="Check the disk of PILOTHOUSE_HOME: that it is there, has room, and may be "
                "written.",
            ) from exc
        raise UnavailableError(
            f"The files of {what} in the S3 store cannot be used: {said}.",
            fix="Check that the store answers, and the settings PILOTHOUSE_STORE_URL and "
            "PILOTHOUSE_S3_*.",
        ) from exc
