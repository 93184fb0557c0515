"""TLS for the test exchange: a certificate of its own, made at the start and gone at the end.

Clients that speak nothing else, AsterDEX's official connector for one, are told to trust its file while it is there.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LIFE: Final = timedelta(days=30)
EARLY: Final = timedelta(hours=1)
"""It is valid from a little before now: the clock of a client may be behind."""


@dataclass(frozen=True, slots=True)
class Tls:
    """What a server listens with, and the file that its clients have to trust. The key is in memory only."""

    context: ssl.SSLContext
    certificate: Path


@contextmanager
def self_made(host: str) -> Iterator[Tls]:
    """Make a certificate for `host` and for this machine, and take its file away in the end."""
    key = ec.generate_private_key(ec.SECP256R1())
    made = _certificate(host, key)
    with TemporaryDirectory(prefix="exchange-server-") as folder:
        certificate, secret = Path(folder, "certificate.pem"), Path(folder, "key.pem")
        certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        secret.touch(mode=0o600)
        secret.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, secret)  # it reads files only
        secret.unlink()
        yield Tls(context, certificate)


def _certificate(host: str, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test exchange")])
    now = datetime.now(UTC)
    known = [x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1")), _name_of(host)]
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - EARLY)
        .not_valid_after(now + LIFE)
        .add_extension(x509.SubjectAlternativeName(list(dict.fromkeys(known))), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    )
    return builder.sign(key, hashes.SHA256())


def _name_of(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)
