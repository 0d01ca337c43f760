"""Certificates of our own for tests."""

from __future__ import annotations

import socket
import ssl
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

NAME = "pilothouse.example.org"


@dataclass(frozen=True)
class Issued:
    """A self-signed certificate and its key."""

    cert_file: Path
    key_file: Path

    @property
    def settings(self) -> dict[str, str]:
        """The settings that name the two files."""
        return {"tls_cert_file": str(self.cert_file), "tls_key_file": str(self.key_file)}


def issue(folder: Path, *, begins_in_days: float = -1, ends_in_days: float = 1) -> Issued:
    """Writes a certificate for ``NAME``, which is not what tests connect to."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=begins_in_days))
        .not_valid_after(now + timedelta(days=ends_in_days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(parents=True, exist_ok=True)
    issued = Issued(folder / "cert.pem", folder / "key.pem")
    issued.cert_file.write_bytes(certificate.public_bytes(Encoding.PEM))
    issued.key_file.touch(mode=0o600)
    issued.key_file.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return issued


def spoken(port: int, newest: ssl.TLSVersion) -> str | None:
    """The TLS that a server agrees on with a client that speaks none after ``newest``.

    Raises:
        ssl.SSLError: the server does not speak to it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with warnings.catch_warnings():
        # That old versions are old is what the tests are about.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = newest
    with socket.create_connection(("127.0.0.1", port)) as plain:
        with context.wrap_socket(plain) as talk:
            return talk.version()
