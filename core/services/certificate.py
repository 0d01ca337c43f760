"""The certificate by which the panel and the served models speak TLS: checked, and trusted."""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from core.errors import SetupError
from core.settings import Settings

_CERTIFICATE, _KEY = "PILOTHOUSE_TLS_CERT_FILE", "PILOTHOUSE_TLS_KEY_FILE"


@dataclass(frozen=True)
class Certificate:
    """A certificate with its key, by their files; the file may hold a chain after it."""

    file: Path
    key_file: Path
    #: The first certificate of the file, in DER.
    content: bytes
    expires_at: datetime

    @property
    def digest(self) -> str:
        """Changes with the certificate."""
        return hashlib.sha256(self.content).hexdigest()


def load_certificate(settings: Settings, now: datetime | None = None) -> Certificate | None:
    """Reads and checks what the settings name; ``None`` where they name nothing.

    Args:
        settings: where the files are.
        now: the time to check against; the present one by default.

    Raises:
        SetupError: only one of the two is set, one cannot be read, the key belongs to
            another certificate or others may read it, or the time is not within the
            certificate's.
    """
    if not settings.tls_cert_file and not settings.tls_key_file:
        return None
    if not settings.tls_cert_file or not settings.tls_key_file:
        missing = _KEY if settings.tls_cert_file else _CERTIFICATE
        raise SetupError(
            f"Only one of {_CERTIFICATE} and {_KEY} is set.", fix=f"Set {missing} as well."
        )
    file, key_file = Path(settings.tls_cert_file), Path(settings.tls_key_file)
    certificate = _read_certificate(file)
    key = _read_key(key_file)
    if _public_bytes(key) != certificate.public_key().public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    ):
        raise SetupError(
            f"The key in {key_file} belongs to another certificate than the one in {file}.",
            fix=f"Set {_CERTIFICATE} and {_KEY} to files that were issued together.",
        )
    _require_valid(certificate, file, now or datetime.now(UTC))
    return Certificate(
        file,
        key_file,
        certificate.public_bytes(Encoding.DER),
        certificate.not_valid_after_utc,
    )


def own_clients(settings: Settings) -> ssl.SSLContext | bool:
    """What our own processes accept as our own servers, for httpx's ``verify``.

    Exactly the configured certificate, whoever issued it and whatever name it bears: they
    reach the servers by other names than the world does.
    """
    if not settings.tls_cert_file:
        return True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    # Accepts a certificate that is known itself, without asking for who signed it.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        text = Path(settings.tls_cert_file).read_text(encoding="ascii", errors="ignore")
        context.load_verify_locations(cadata=_first_block(text))
    except (OSError, ValueError) as exc:
        raise _unreadable(Path(settings.tls_cert_file), _CERTIFICATE) from exc
    return context


def _read_certificate(file: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(file.read_bytes())
    except (OSError, ValueError) as exc:
        raise _unreadable(file, _CERTIFICATE) from exc


def _read_key(file: Path) -> PrivateKeyTypes:
    try:
        others_may = file.stat().st_mode & 0o007
        key = load_pem_private_key(file.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as exc:  # TypeError: it asks for a password
        raise _unreadable(file, _KEY) from exc
    if others_may:
        raise SetupError(
            f"Everybody on this machine may use the private key in {file}.",
            fix=f"Run `chmod o= {file}`.",
        )
    return key


def _unreadable(file: Path, setting: str) -> SetupError:
    return SetupError(
        f"The file {file} of {setting} cannot be read as PEM.",
        fix="Check its path, its rights and what it holds; a key must have no password.",
    )


def _public_bytes(key: PrivateKeyTypes) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _require_valid(certificate: x509.Certificate, file: Path, now: datetime) -> None:
    if now < certificate.not_valid_before_utc:
        begins = certificate.not_valid_before_utc.strftime("%Y-%m-%d %H:%M")
        raise SetupError(
            f"The certificate in {file} is valid from {begins} UTC only.",
            fix="Put one there that is valid now, or set this machine's clock.",
        )
    if now > certificate.not_valid_after_utc:
        ended = certificate.not_valid_after_utc.strftime("%Y-%m-%d %H:%M")
        raise SetupError(
            f"The certificate in {file} has expired on {ended} UTC.", fix="Put a renewed one there."
        )


def _first_block(text: str) -> str:
    end = "-----END CERTIFICATE-----"
    if end not in text:
        raise ValueError("no certificate")
    return text[: text.index(end) + len(end)] + "\n"
