"""The store of data: a folder of an S3 bucket, or the home, as one kind of file system."""

from __future__ import annotations

from pathlib import Path

from pyarrow import fs

from core.settings import leave_out_checksums
from core.settings_store import S3Store

#: Of each of three attempts; the second counts while not a byte moves. Measured: a store that
#: takes no connection fails after 16 s, one that never answers after 46 s.
CONNECT_TIMEOUT_S, REQUEST_TIMEOUT_S = 5.0, 15.0


def open_store(store: S3Store | None, home: Path) -> fs.FileSystem:
    """File system whose paths begin at the store's folder, or at the home where there is none.

    Nothing is asked of the store yet. What it raises later are ``OSError``.
    """
    if store is None:
        return fs.SubTreeFileSystem(str(home), fs.LocalFileSystem())
    leave_out_checksums()
    scheme, _, place = store.endpoint.rpartition("://")
    return fs.SubTreeFileSystem(
        store.path,
        fs.S3FileSystem(
            access_key=store.key_id or None,
            secret_key=store.secret or None,
            region=store.region,
            scheme=scheme or None,
            endpoint_override=place or None,
            connect_timeout=CONNECT_TIMEOUT_S,
            request_timeout=REQUEST_TIMEOUT_S,
        ),
    )
