"""The certificate of the service: refused when it cannot work, renewed while it is served."""

import ssl
from pathlib import Path

import pytest
import structlog

from groundwork.api.certificate import Certificate
from groundwork.errors import Invalid
from plugins import certificates


def _shown(certificate: Certificate, server_name: str | None = None) -> str:
    """The name in the certificate that a new connection is shown."""
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(to_client, to_server, server_hostname=server_name)
    server = certificate.context.wrap_bio(to_server, to_client, server_side=True)
    left = [client, server]
    for _ in range(20):
        for each in list(left):
            try:
                each.do_handshake()
                left.remove(each)
            except ssl.SSLWantReadError:
                continue
    der = client.getpeercert(binary_form=True)
    assert not left
    assert der is not None
    return certificates.common_name(der)


@pytest.mark.parametrize("server_name", [None, "localhost"])
def test_new_files_are_shown_to_new_connections(tmp_path: Path, server_name: str | None) -> None:
    certificate = Certificate(*certificates.write(tmp_path, "first"))
    assert _shown(certificate, server_name) == "first"
    certificates.write(tmp_path, "second")
    assert _shown(certificate, server_name) == "first"
    certificate.refresh()
    assert _shown(certificate, server_name) == "second"


def test_a_pair_that_cannot_be_used_is_reported_once_and_the_old_one_stays(tmp_path: Path) -> None:
    file, key = certificates.write(tmp_path, "first")
    certificate = Certificate(file, key)
    with structlog.testing.capture_logs() as logs:
        file.write_bytes(certificates.make("half written")[0])
        certificate.refresh()
        certificate.refresh()
        key.unlink()
        certificate.refresh()
        certificate.refresh()
    assert [each["log_level"] for each in logs] == ["error", "error"]
    assert "is not the one of the certificate" in logs[0]["reason"]
    assert "GROUNDWORK_HTTP__TLS_KEY" in logs[1]["reason"]
    assert _shown(certificate) == "first"
    certificates.write(tmp_path, "second")
    certificate.refresh()
    assert _shown(certificate) == "second"


def test_files_that_cannot_be_used_are_refused_and_named(tmp_path: Path) -> None:
    file, key = certificates.write(tmp_path, "ours")
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("not PEM")
    other = tmp_path / "other.pem"
    other.write_bytes(certificates.make("other")[1])
    locked = tmp_path / "locked.pem"
    locked.write_bytes(certificates.make("locked", b"secret")[1])
    refused = {
        (tmp_path / "missing.pem", key): "GROUNDWORK_HTTP__TLS_CERTIFICATE is .*missing.pem, which cannot be read",
        (file, tmp_path): "GROUNDWORK_HTTP__TLS_KEY is .* cannot be read",
        (file, garbage): "cannot be used for TLS",
        (garbage, key): "cannot be used for TLS",
        (file, other): "is not the one of the certificate",
        (file, locked): "has a passphrase",
    }
    for pair, says in refused.items():
        with pytest.raises(Invalid, match=says):
            Certificate(*pair)
