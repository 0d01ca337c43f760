"""The settings that say where an installation keeps its data: in the home or in an S3 store."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr

from core.errors import SetupError
from core.settings_secrets import read_secret

#: The secret settings of a store's key.
STORE_KEY = ("s3_access_key_id", "s3_secret_access_key")
#: Tells Amazon's clients to leave out the checksums that it has added to S3 and that not every
#: store knows.
CHECKSUMS: Mapping[str, str] = {
    "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
    "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
}
_HOST = re.compile(r"[A-Za-z0-9.:-]+")


@dataclass(frozen=True)
class S3Store:
    """A folder of a bucket, and how it is reached.

    Attributes:
        bucket: its name.
        prefix: folder in it without slashes at its ends; empty for the bucket itself.
        endpoint: address of the S3 API; empty for Amazon's.
        region: name of the region.
        key_id: name of the access key; empty where the vendors' own ways find one, such as
            the role of the machine.
        secret: what belongs to ``key_id``.
    """

    bucket: str
    prefix: str
    endpoint: str
    region: str
    key_id: str
    secret: str = field(repr=False)

    @property
    def path(self) -> str:
        """Bucket and prefix, as file systems name it."""
        return f"{self.bucket}/{self.prefix}" if self.prefix else self.bucket

    @property
    def address(self) -> str:
        """Where everything lies, as people write it."""
        return f"s3://{self.path}"

    @property
    def place(self) -> str:
        """The same, and who is asked for it."""
        return f"{self.address} at {self.endpoint}" if self.endpoint else self.address

    def address_of(self, folder: str) -> str:
        """Address of a folder of the store, for those who are told one."""
        return f"s3://{self.path}/{folder}"

    def variables(self) -> Mapping[str, str]:
        """What tells boto3, and so MLflow, how to reach the store; holds the secret."""
        told = {
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "MLFLOW_S3_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            **CHECKSUMS,
        }
        return {name: value for name, value in told.items() if value}


class StoreSettings(BaseModel):
    """Where data is kept; part of ``core.settings.Settings``."""

    store_url: str = Field(
        default="",
        description="Where artifacts, data versions, the inference log and prepared data are "
        "kept: `s3://bucket/folder`; empty means the home.",
    )
    s3_endpoint: str = Field(
        default="",
        description="Address of the S3 API, such as `http://store:8333`; empty means Amazon's.",
    )
    s3_region: str = Field(default="us-east-1", description="Region of the S3 store.")
    s3_access_key_id: SecretStr = Field(
        default=SecretStr(""),
        description="Access key of the S3 store; empty means what the machine has, such as its "
        "role. A secret.",
    )
    s3_access_key_id_file: str = Field(
        default="", description="File that holds what `PILOTHOUSE_S3_ACCESS_KEY_ID` would."
    )
    s3_secret_access_key: SecretStr = Field(
        default=SecretStr(""), description="What belongs to the access key. A secret."
    )
    s3_secret_access_key_file: str = Field(
        default="", description="File that holds what `PILOTHOUSE_S3_SECRET_ACCESS_KEY` would."
    )

    @property
    def store_secrets(self) -> tuple[str, ...]:
        """The secret settings that whoever reads or writes data needs; none without a store."""
        return STORE_KEY if self.store_url else ()

    @property
    def store(self) -> S3Store | None:
        """The S3 store that was given; ``None`` where data is kept in the home.

        Raises:
            SetupError: an address is none, half of the key is missing, or a file cannot be read.
        """
        if not self.store_url:
            return None
        place = _place_of(self.store_url)
        if place is None:
            raise SetupError(
                "PILOTHOUSE_STORE_URL is no address of an S3 store.",
                fix="Give s3://BUCKET/FOLDER, or unset it to keep data in the home.",
            )
        if self.s3_endpoint and not _is_endpoint(self.s3_endpoint):
            raise SetupError(
                "PILOTHOUSE_S3_ENDPOINT is no address of an S3 API.",
                fix="Give http://HOST:PORT or https://HOST, or unset it for Amazon's.",
            )
        key_id = read_secret("S3_ACCESS_KEY_ID", self.s3_access_key_id, self.s3_access_key_id_file)
        secret = read_secret(
            "S3_SECRET_ACCESS_KEY", self.s3_secret_access_key, self.s3_secret_access_key_file
        )
        if bool(key_id) != bool(secret):
            raise SetupError(
                "Of the S3 store's key only one half is set.",
                fix="Set both PILOTHOUSE_S3_ACCESS_KEY_ID and PILOTHOUSE_S3_SECRET_ACCESS_KEY, "
                "or neither.",
            )
        return S3Store(
            bucket=place[0],
            prefix=place[1],
            endpoint=self.s3_endpoint.rstrip("/"),
            region=self.s3_region,
            key_id=key_id,
            secret=secret,
        )


def _place_of(address: str) -> tuple[str, str] | None:
    """Bucket and folder of an address; ``None`` where it is none that all clients understand."""
    try:
        given = urlsplit(address)
    except ValueError:
        return None
    folder = given.path.strip("/")
    steps = folder.split("/") if folder else []
    is_plain = not (set(given.netloc) & set("@:") or given.query or given.fragment)
    if given.scheme != "s3" or not given.netloc or not is_plain or {"", ".", ".."} & {*steps}:
        return None
    return given.netloc, folder


def _is_endpoint(address: str) -> bool:
    try:
        given = urlsplit(address)
        host, _ = given.hostname, given.port
    except ValueError:
        return False
    beyond = given.path.strip("/") or given.query or given.fragment or "@" in given.netloc
    is_host = host is not None and _HOST.fullmatch(host) is not None
    return given.scheme in ("http", "https") and is_host and not beyond
