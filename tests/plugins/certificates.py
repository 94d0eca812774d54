"""Certificates that sign themselves, for servers of tests."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def make(common_name: str, passphrase: bytes | None = None, days: float = 1) -> tuple[bytes, bytes]:
    """Certificate and key as PEM, for localhost and 127.0.0.1, that end in so many days; the name tells one from another."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=min(days, 0), hours=-1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    locked = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return (
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked),
    )


def write(folder: Path, common_name: str, days: float = 1) -> tuple[Path, Path]:
    """Paths of a certificate and its key in `folder`, made anew."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    for path, content in zip((certificate, key), make(common_name, days=days), strict=True):
        path.write_bytes(content)
    return certificate, key


def common_name(der: bytes) -> str:
    """The name in a certificate as a connection gives it."""
    return str(x509.load_der_x509_certificate(der).subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
