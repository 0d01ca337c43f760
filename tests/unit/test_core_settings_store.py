"""Where data is kept: what is taken, what is refused, and that no key is repeated."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from core.errors import SetupError
from core.settings import Settings
from core.settings_store import STORE_KEY, S3Store

KEY = {"s3_access_key_id": "Key-1", "s3_secret_access_key": "S3cret"}


def test_without_an_address_it_is_the_home() -> None:
    settings = Settings(**KEY, s3_endpoint="http://store:8333")
    assert settings.store is None
    assert settings.store_secrets == ()


@pytest.mark.parametrize(
    ("url", "bucket", "prefix", "path"),
    [
        ("s3://bucket", "bucket", "", "bucket"),
        ("s3://bucket/", "bucket", "", "bucket"),
        ("s3://bucket/a/b/", "bucket", "a/b", "bucket/a/b"),
    ],
)
def test_an_address_names_a_folder_of_a_bucket(
    url: str, bucket: str, prefix: str, path: str
) -> None:
    settings = Settings(store_url=url, s3_endpoint="http://store:8333/", **KEY)
    store = settings.store
    assert store == S3Store(bucket, prefix, "http://store:8333", "us-east-1", "Key-1", "S3cret")
    assert store.path == path
    assert store.address == f"s3://{path}"
    assert store.address_of("artifacts") == f"s3://{path}/artifacts"
    assert store.place == f"s3://{path} at http://store:8333"
    assert settings.store_secrets == STORE_KEY


def test_amazons_own_needs_neither_endpoint_nor_key() -> None:
    store = Settings(store_url="s3://bucket", s3_region="eu-central-1").store
    assert store is not None
    assert store.place == "s3://bucket"
    told = store.variables()
    assert told["AWS_DEFAULT_REGION"] == "eu-central-1"
    # An empty one would hide the role of the machine.
    assert not {"AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL_S3"} & told.keys()


def test_vendors_are_told_of_key_and_endpoint() -> None:
    store = Settings(store_url="s3://bucket", s3_endpoint="https://store", **KEY).store
    assert store is not None
    told = store.variables()
    assert told["AWS_ENDPOINT_URL_S3"] == told["MLFLOW_S3_ENDPOINT_URL"] == "https://store"
    assert (told["AWS_ACCESS_KEY_ID"], told["AWS_SECRET_ACCESS_KEY"]) == ("Key-1", "S3cret")


def test_the_key_may_be_in_files(tmp_path: Path) -> None:
    for name in KEY:
        (tmp_path / name).write_text(f"{KEY[name]}\n", encoding="utf-8")
    files = {f"{name}_file": str(tmp_path / name) for name in KEY}
    settings = Settings(store_url="s3://bucket", **files)
    assert settings.store == Settings(store_url="s3://bucket", **KEY).store
    (tmp_path / "s3_secret_access_key").unlink()
    with pytest.raises(SetupError, match="PILOTHOUSE_S3_SECRET_ACCESS_KEY_FILE cannot be read"):
        _ = settings.store


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        *(
            ({"store_url": url}, "PILOTHOUSE_STORE_URL is no address")
            for url in (
                *("bucket", "https://bucket", "s3:///folder", "s3://", "s3://Key-1:S3cret@b"),
                # What one client takes for another folder than the next one, or not at all.
                *("s3://b/a//c", "s3://b/../c", "s3://b/a#1", "s3://b/a?x", "s3://b:90/a"),
                "s3://[b/a",
            )
        ),
        *(
            ({"s3_endpoint": address}, "PILOTHOUSE_S3_ENDPOINT is no address")
            for address in (
                *("store:8333", "ftp://store", "http://", "http://my_store:8333"),
                *("http://[::1", "http://store:port", "http://store/s3", "http://k:S3cret@store"),
            )
        ),
        ({"s3_access_key_id": ""}, "only one half is set"),
        ({"s3_secret_access_key": " "}, "only one half is set"),
    ],
)
def test_anything_else_is_refused_and_not_repeated(changed: dict[str, str], message: str) -> None:
    settings = Settings(**{"store_url": "s3://bucket", **KEY, **changed})
    with pytest.raises(SetupError, match=message) as refused:
        _ = settings.store
    assert refused.value.fix
    assert "S3cret" not in "".join(traceback.format_exception(refused.value))


def test_the_key_is_shown_nowhere() -> None:
    settings = Settings(store_url="s3://bucket", **KEY)
    assert "S3cret" not in f"{settings!r} {settings.store!r} {settings.public()}"
    assert not {*KEY} & settings.public().keys()
