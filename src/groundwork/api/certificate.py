"""TLS: the certificate the service shows, taken up anew when its files change."""

import asyncio
import ssl
from pathlib import Path

import structlog

from groundwork.errors import Invalid

log = structlog.get_logger()

LOOK_SECONDS = 2.0


class Certificate:
    """A certificate and its key, read from PEM files.

    Raises Invalid when a file cannot be read, is not PEM, or the two do not belong together.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._files = (certificate.expanduser(), key.expanduser())
        self._content = _read(*self._files)
        self._current = _context(*self._files)
        self._said = ""
        self.context = _context(*self._files)
        """What to listen with. New connections get whatever is current by then."""
        self.context.sni_callback = self._hand_over

    def refresh(self) -> None:
        """Takes up the files as they are now, if they have changed; when they cannot be used, the old ones stay."""
        try:
            content = _read(*self._files)
            if content == self._content:
                return
            self._content = content
            self._current = _context(*self._files)
        except Invalid as error:
            if error.message != self._said:
                log.error("the new TLS certificate cannot be used; the old one stays", reason=error.message)
            self._said = error.message
            return
        self._said = ""
        log.info("the TLS certificate was renewed", certificate=str(self._files[0]))

    async def watch(self) -> None:
        """Looks at the files every few seconds, for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await asyncio.to_thread(self.refresh)

    def _hand_over(self, connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        connection.context = self._current


def _read(certificate: Path, key: Path) -> tuple[bytes, bytes]:
    return _bytes_of(certificate, "GROUNDWORK_HTTP__TLS_CERTIFICATE"), _bytes_of(key, "GROUNDWORK_HTTP__TLS_KEY")


def _bytes_of(path: Path, variable: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Invalid(
            f"{variable} is {path}, which cannot be read ({error.strerror}). Name a PEM file this user may read."
        ) from error


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, _refuse_passphrase)
    except ssl.SSLError as error:
        if error.reason and "MISMATCH" in error.reason:
            raise Invalid(f"The key {key} is not the one of the certificate {certificate}. Set the pair.") from error
        raise Invalid(
            f"{certificate} and {key} cannot be used for TLS ({error.reason or error}). The first has to be a certificate, "
            "the second its key, both in PEM."
        ) from error
    except OSError as error:
        raise Invalid(f"{certificate} and {key} cannot be read ({error.strerror}).") from error
    return context


def _refuse_passphrase() -> str:
    raise Invalid(
        "The key in GROUNDWORK_HTTP__TLS_KEY has a passphrase, and nobody is there to type it. Store it without."
    )
