"""Amazon's client of an S3 store: whether its bucket can be used, and single objects in it.

boto3 takes most of a second to import, so that is done when it is needed.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from core.errors import NotFoundError, PilothouseError, UnavailableError
from core.settings_store import S3Store

_MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
_NO_BUCKET = frozenset({"NoSuchBucket"})
#: A request without a body is refused with a bare number.
_REFUSED = frozenset(
    {"400", "401", "403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
)
_THERE_ALREADY = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists"})


class Bucket:
    """The folder of a bucket in which an installation keeps its data.

    Names of objects are relative to that folder. Whatever the store refuses or cannot do is
    told as ``UnavailableError``.
    """

    def __init__(self, store: S3Store) -> None:
        self._store = store

    def look(self) -> str:
        """What can be said of the bucket; asks once and waits a few seconds at most.

        Raises:
            UnavailableError: the store does not answer, refuses the key or has no such bucket.
        """
        with self._told():
            _client(self._store, patient=False).head_bucket(Bucket=self._store.bucket)
        return f"{self._store.place}, which answers"

    def create(self) -> bool:
        """Makes the bucket; returns whether there was none."""
        where: dict[str, Any] = {}
        if not self._store.endpoint and self._store.region != "us-east-1":
            # Amazon asks for it everywhere but there, where it refuses it.
            where["CreateBucketConfiguration"] = {"LocationConstraint": self._store.region}
        with self._told():
            client = _client(self._store)
            try:
                client.head_bucket(Bucket=self._store.bucket)
            except client.exceptions.ClientError as exc:
                if _code(exc) not in _MISSING | _NO_BUCKET:
                    raise
            else:
                return False
            try:
                client.create_bucket(Bucket=self._store.bucket, **where)
            except client.exceptions.ClientError as exc:
                # Another one was first.
                if _code(exc) not in _THERE_ALREADY:
                    raise
        return True

    def read(self, name: str) -> bytes | None:
        """Content of a small object; ``None`` where there is none of that name."""
        with self._told():
            client = _client(self._store)
            try:
                answer = client.get_object(Bucket=self._store.bucket, Key=self._key(name))
                content: bytes = answer["Body"].read()
            except client.exceptions.ClientError as exc:
                if _code(exc) not in _MISSING:
                    raise
                return None
        return content

    def write(self, name: str, content: bytes) -> None:
        """Writes a small object."""
        with self._told():
            _client(self._store).put_object(
                Bucket=self._store.bucket, Key=self._key(name), Body=content
            )

    def size(self, name: str) -> int | None:
        """Bytes of an object; ``None`` where there is none of that name."""
        with self._told():
            client = _client(self._store)
            try:
                answer = client.head_object(Bucket=self._store.bucket, Key=self._key(name))
            except client.exceptions.ClientError as exc:
                if _code(exc) not in _MISSING:
                    raise
                return None
        return int(answer["ContentLength"])

    def remove(self, name: str) -> None:
        """Removes an object; it need not be there."""
        with self._told():
            _client(self._store).delete_object(Bucket=self._store.bucket, Key=self._key(name))

    def names(self, folder: str, ending: str) -> tuple[str, ...]:
        """Names of the objects below a folder that end so."""
        start = self._key(f"{folder}/")
        with self._told():
            pages = _client(self._store).get_paginator("list_objects_v2")
            keys = [
                one["Key"]
                for page in pages.paginate(Bucket=self._store.bucket, Prefix=start)
                for one in page.get("Contents", ())
            ]
        own = len(start) - len(folder) - 1
        return tuple(key[own:] for key in keys if key.endswith(ending))

    @contextmanager
    def fetched(self, name: str, place: Path) -> Iterator[Path]:
        """Brings an object into a file beside ``place``, which becomes it when the block ends.

        So nobody sees half a file, and what the block refuses leaves nothing.

        Raises:
            NotFoundError: there is no such object.
            OSError: the disk does not take it.
        """
        unborn = place.with_name(f".{place.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}")
        try:
            with self._told():
                client = _client(self._store)
                try:
                    client.download_file(self._store.bucket, self._key(name), str(unborn))
                except client.exceptions.ClientError as exc:
                    if _code(exc) not in _MISSING:
                        raise
                    raise NotFoundError(
                        f"The S3 store has no {name}.", fix="See docs/object-store.md."
                    ) from None
            yield unborn
            unborn.replace(place)
        finally:
            unborn.unlink(missing_ok=True)

    def _key(self, name: str) -> str:
        prefix = self._store.prefix
        return f"{prefix}/{name}" if prefix else name

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tells what the client raises in a sentence, without what may name the key."""
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError
        from s3transfer.exceptions import S3DownloadFailedError, S3ValidationError

        transfer = (S3DownloadFailedError, S3ValidationError)
        try:
            yield
        except (BotoCoreError, Boto3Error, ClientError, *transfer) as exc:
            raise refusal(self._store, exc) from None


def refusal(store: S3Store, exc: BaseException) -> PilothouseError:
    """What an exception of Amazon's client means, in a sentence that does not repeat it."""
    from botocore.exceptions import (
        ClientError,
        ConnectionError,
        HTTPClientError,
        NoCredentialsError,
        PartialCredentialsError,
        SSLError,
    )

    place = store.place
    if isinstance(exc, NoCredentialsError | PartialCredentialsError):
        return UnavailableError(
            f"Nothing gives a key for {place}.",
            fix="Set PILOTHOUSE_S3_ACCESS_KEY_ID and PILOTHOUSE_S3_SECRET_ACCESS_KEY.",
        )
    if isinstance(exc, SSLError):
        return UnavailableError(
            f"The certificate of the S3 store of {place} is not trusted.",
            fix="Name the file of its authority in AWS_CA_BUNDLE, or correct "
            "PILOTHOUSE_S3_ENDPOINT.",
        )
    if isinstance(exc, ConnectionError | HTTPClientError):
        return UnavailableError(
            f"The S3 store of {place} does not answer.",
            fix="Start it, or correct PILOTHOUSE_S3_ENDPOINT.",
        )
    if not isinstance(exc, ClientError):
        return UnavailableError(
            f"The S3 store of {place} cannot be used ({type(exc).__name__}).",
            fix="Check PILOTHOUSE_STORE_URL, PILOTHOUSE_S3_* and the machine's AWS settings.",
        )
    code = _code(exc)
    if code in _NO_BUCKET | _MISSING:
        return UnavailableError(
            f"The S3 store has no bucket for {place}.",
            fix="Call `pilothouse service bucket`, or correct PILOTHOUSE_STORE_URL.",
        )
    if code in _REFUSED:
        return UnavailableError(
            f"The S3 store does not let this key use {place}.",
            fix="Check the key, its rights and PILOTHOUSE_S3_REGION.",
        )
    return UnavailableError(
        f"The S3 store of {place} fails ({code}).", fix="Look at its log, then try again."
    )


def _code(exc: Any) -> str:
    return str(exc.response.get("Error", {}).get("Code", ""))


@lru_cache(maxsize=8)
def _client(store: S3Store, *, patient: bool = True) -> Any:
    """A client, which any number of threads may use."""
    from boto3.session import Session
    from botocore.config import Config

    return Session().client(
        "s3",
        endpoint_url=store.endpoint or None,
        region_name=store.region,
        aws_access_key_id=store.key_id or None,
        aws_secret_access_key=store.secret or None,
        config=Config(
            connect_timeout=5 if patient else 2,
            read_timeout=30 if patient else 3,
            retries={"mode": "standard", "total_max_attempts": 3 if patient else 1},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
