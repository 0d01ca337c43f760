"""Amazon's client over a server that speaks S3, and what is said where one does not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from botocore.exceptions import ProfileNotFound, SSLError
from s3transfer.exceptions import S3DownloadFailedError, S3ValidationError
from typer.testing import CliRunner

from core import cli
from core.adapters.s3 import Bucket
from core.errors import NotFoundError, SetupError, UnavailableError
from core.services.checks import require
from core.services.doctor import store_check
from core.settings import Settings, variable_of
from core.settings_store import S3Store
from tests.ray_head import free_ports
from tests.s3 import S3Server

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def store(s3: S3Server) -> S3Store:
    return s3.create_bucket()


class TestObjects:
    def test_they_are_written_read_listed_and_removed(self, s3: S3Server, store: S3Store) -> None:
        bucket = Bucket(store)
        assert bucket.read("a/b.txt") is None
        assert bucket.size("a/b.txt") is None
        for name in ("a/b.txt", "a/c/d.txt", "a/c/e.dat", "ab/f.txt"):
            bucket.write(name, name.encode())
        assert s3.keys(store) == ["a/b.txt", "a/c/d.txt", "a/c/e.dat", "ab/f.txt"]
        assert (bucket.read("a/b.txt"), bucket.size("a/b.txt")) == (b"a/b.txt", 7)
        assert bucket.names("a", ".txt") == ("a/b.txt", "a/c/d.txt")
        for _ in range(2):
            bucket.remove("a/b.txt")
        assert bucket.names("a", "") == ("a/c/d.txt", "a/c/e.dat")

    def test_a_bucket_may_be_used_as_a_whole(self, s3: S3Server, store: S3Store) -> None:
        whole = replace(store, prefix="")
        Bucket(whole).write("a/b", b"1")
        assert Bucket(whole).names("a", "") == ("a/b",)
        assert s3.client().get_object(Bucket=store.bucket, Key="a/b")["Body"].read() == b"1"

    def test_a_long_list_is_whole(self, store: S3Store) -> None:
        bucket = Bucket(store)
        names = [f"many/{number:04d}" for number in range(1005)]
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda name: bucket.write(name, b""), names))
        assert bucket.names("many", "") == tuple(names)


class TestFetched:
    def test_a_file_is_there_when_all_of_it_is(self, store: S3Store, tmp_path: Path) -> None:
        content = bytes(range(256)) * 50_000
        Bucket(store).write("big", content)
        place = tmp_path / "rows"
        with Bucket(store).fetched("big", place) as unborn:
            assert unborn.read_bytes() == content
            assert not place.exists()
        assert place.read_bytes() == content
        assert [*tmp_path.iterdir()] == [place]

    def test_what_is_not_wanted_leaves_nothing(self, store: S3Store, tmp_path: Path) -> None:
        Bucket(store).write("a", b"1")
        with pytest.raises(ValueError, match="no"), Bucket(store).fetched("a", tmp_path / "rows"):
            raise ValueError("no")
        with pytest.raises(NotFoundError), Bucket(store).fetched("b", tmp_path / "rows"):
            pass
        assert [*tmp_path.iterdir()] == []


class TestLook:
    def test_a_bucket_that_can_be_used(self, store: S3Store) -> None:
        assert store.place in Bucket(store).look()

    def test_one_that_is_missing_can_be_made(self, store: S3Store) -> None:
        other = replace(store, bucket="none-of-this-name")
        with pytest.raises(UnavailableError, match="no bucket") as refused:
            Bucket(other).look()
        assert "pilothouse service bucket" in refused.value.fix
        assert Bucket(other).create()
        assert Bucket(other).look()
        assert not Bucket(other).create()

    def test_nobody_answers(self, store: S3Store) -> None:
        (port,) = free_ports(1)
        with pytest.raises(UnavailableError, match="does not answer") as refused:
            Bucket(replace(store, endpoint=f"http://127.0.0.1:{port}")).look()
        assert "PILOTHOUSE_S3_ENDPOINT" in refused.value.fix

    @pytest.mark.parametrize(
        ("status", "said"), [(403, "does not let this key"), (400, "this key"), (503, "503")]
    )
    def test_it_refuses(self, store: S3Store, status: int, said: str) -> None:
        with _refusing(status) as endpoint:
            with pytest.raises(UnavailableError, match=said) as refused:
                Bucket(replace(store, endpoint=endpoint)).look()
        assert refused.value.fix
        assert store.secret not in str(refused.value)
        assert refused.value.__cause__ is None

    @pytest.mark.parametrize(
        ("raised", "said"),
        [
            (SSLError(endpoint_url="https://store", error="self-signed"), "is not trusted"),
            (ProfileNotFound(profile="gone"), "cannot be used"),
            (S3ValidationError("another range"), "cannot be used"),
            (S3DownloadFailedError("it was replaced"), "cannot be used"),
        ],
    )
    def test_whatever_its_client_raises_is_told_in_a_sentence(
        self, store: S3Store, monkeypatch: pytest.MonkeyPatch, raised: Exception, said: str
    ) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise raised

        monkeypatch.setattr("core.adapters.s3._client", refuse)
        with pytest.raises(UnavailableError, match=said) as refused:
            Bucket(store).look()
        assert refused.value.fix

    def test_nothing_gives_a_key(
        self, store: S3Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
            monkeypatch.setenv(name, str(tmp_path / "none"))
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        with pytest.raises(UnavailableError, match="gives a key"):
            Bucket(replace(store, key_id="", secret="")).look()


class TestInstallation:
    """What a start and a doctor say of the store, and the command that makes the bucket."""

    def test_doctor_says_what_is_wrong(self, store: S3Store) -> None:
        assert store_check(Settings()).found == "data is kept in the home"
        given = S3Server.settings(store)
        good = store_check(Settings(**given))
        assert (good.passed, store.address in good.found) == (True, True)
        gone = store_check(Settings(**given | {"store_url": "s3://none-of-this-name-either"}))
        assert not gone.passed
        assert "no bucket" in gone.found
        with pytest.raises(SetupError, match=r"The check of store failed: .*no bucket"):
            require([gone])
        half = store_check(Settings(**given | {"s3_secret_access_key": ""}))
        assert (half.passed, "one half" in half.found) == (False, True)
        assert store.secret not in f"{good} {gone} {half}"

    def test_a_command_makes_the_bucket(
        self, store: S3Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        runner = CliRunner()
        monkeypatch.delenv("PILOTHOUSE_STORE_URL", raising=False)
        refused = runner.invoke(cli.app, ["service", "bucket"])
        assert isinstance(refused.exception, SetupError)
        given = S3Server.settings(store) | {"store_url": "s3://made-by-the-command/folder"}
        for name, value in given.items():
            monkeypatch.setenv(variable_of(name), value)
        for said in ("is made", "was there"):
            done = runner.invoke(cli.app, ["service", "bucket"])
            assert done.exit_code == 0, done.output
            assert said in done.output
        assert Bucket(replace(store, bucket="made-by-the-command")).look()


@contextmanager
def _refusing(status: int) -> Iterator[str]:
    """A server that answers everything so."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
