from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from core.errors import SetupError
from core.services.certificate import load_certificate, own_clients
from core.settings import Settings
from tests.certificates import Issued, issue


def settings_of(issued: Issued, **changes: object) -> Settings:
    return Settings(**{**issued.settings, **changes})


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Issued:
    return issue(tmp_path_factory.mktemp("tls"))


def test_nothing_is_read_where_nothing_is_set():
    assert load_certificate(Settings()) is None
    assert own_clients(Settings()) is True


def test_a_good_pair_is_known_by_its_content(issued: Issued, tmp_path: Path):
    found = load_certificate(settings_of(issued))
    assert found is not None
    assert found.expires_at > datetime.now(UTC)

    renewed = load_certificate(settings_of(issue(tmp_path)))
    assert renewed is not None
    assert renewed.digest != found.digest


def test_a_chain_after_the_certificate_is_fine(issued: Issued, tmp_path: Path):
    chain = tmp_path / "chain.pem"
    other = issue(tmp_path / "other")
    chain.write_bytes(issued.cert_file.read_bytes() + other.cert_file.read_bytes())

    assert load_certificate(settings_of(issued, tls_cert_file=str(chain))) is not None


@pytest.mark.parametrize("missing", ["tls_cert_file", "tls_key_file"])
def test_one_of_two_is_refused_and_the_other_is_named(issued: Issued, missing: str):
    with pytest.raises(SetupError, match="Only one of") as caught:
        load_certificate(settings_of(issued, **{missing: ""}))

    assert f"PILOTHOUSE_{missing.upper()}" in caught.value.fix


@pytest.mark.parametrize("name", ["tls_cert_file", "tls_key_file"])
@pytest.mark.parametrize("content", [None, "", "not PEM"])
def test_what_cannot_be_read_is_named(issued: Issued, tmp_path: Path, name: str, content):
    file = tmp_path / "file.pem"
    if content is not None:
        file.write_text(content)
        file.chmod(0o600)

    with pytest.raises(SetupError, match=f"PILOTHOUSE_{name.upper()} cannot be read"):
        load_certificate(settings_of(issued, **{name: str(file)}))


def test_the_key_of_another_certificate_is_refused(issued: Issued, tmp_path: Path):
    other = issue(tmp_path)

    with pytest.raises(SetupError, match="belongs to another certificate"):
        load_certificate(settings_of(issued, tls_key_file=str(other.key_file)))


def test_a_key_that_everybody_may_read_is_refused(tmp_path: Path):
    issued = issue(tmp_path)
    issued.key_file.chmod(0o640)  # a group of those who may is a common way
    assert load_certificate(settings_of(issued)) is not None

    issued.key_file.chmod(0o644)
    with pytest.raises(SetupError, match="Everybody on this machine") as caught:
        load_certificate(settings_of(issued))
    assert "chmod" in caught.value.fix


@pytest.mark.parametrize(
    ("after_days", "said"), [(0.0, None), (2.0, "has expired"), (-3.0, "is valid from")]
)
def test_a_certificate_is_refused_outside_its_time(issued: Issued, after_days, said):
    now = datetime.now(UTC) + timedelta(days=after_days)
    if said is None:
        assert load_certificate(settings_of(issued), now) is not None
        return
    with pytest.raises(SetupError, match=said):
        load_certificate(settings_of(issued), now)


def test_our_own_processes_accept_this_certificate_by_any_name_and_no_other(
    issued: Issued, tmp_path: Path
):
    other = issue(tmp_path)
    for shown, accepted in ((issued, True), (other, False)):
        with tls_server(shown) as server:
            url = f"https://127.0.0.1:{server.port}/"
            with httpx.Client(verify=own_clients(settings_of(issued)), trust_env=False) as client:
                if accepted:
                    assert client.get(url).text == "ok"
                else:
                    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                        client.get(url)


class tls_server:
    """Answers one request over TLS."""

    def __init__(self, shown: Issued) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(shown.cert_file, shown.key_file)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._answer)

    def __enter__(self) -> tls_server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._listener.close()

    def _answer(self) -> None:
        connection, _ = self._listener.accept()
        try:
            with self._context.wrap_socket(connection, server_side=True) as talk:
                talk.recv(65536)
                talk.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except ssl.SSLError:
            connection.close()  # the client does not trust us
