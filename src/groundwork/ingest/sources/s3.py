"""Objects of an S3 bucket below a prefix as a source.

An endpoint that comes with a source is reached by https, or is one that the operator has named: then the certificate
ties the name to its machine, and a name that leads into the private network later leads to no answer.
"""

import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError, InvalidPathError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from groundwork.errors import GroundworkError, Invalid, NotFound, Refused, Unavailable
from groundwork.ingest.items import Item
from groundwork.ingest.sources.addresses import Gate
from groundwork.ingest.sources.config import S3Config
from groundwork.ingest.sources.names import Selection, clean_name, is_hidden, is_readable
from groundwork.settings import SourceSettings

_LIST_AT_ONCE = 1000
_PART_BYTES = 1 << 20


class S3Source:
    """The objects below one prefix of one bucket."""

    def __init__(self, config: S3Config, settings: SourceSettings, max_bytes: int, gate: Gate | None = None) -> None:
        self._config = config
        self._settings = settings
        self._gate = gate or Gate(settings.allow_private_addresses)
        self._folder = config.prefix.strip("/")
        self._selection = Selection(config.include, config.exclude)
        self._max_bytes = max_bytes
        self._opened: S3Store | None = None
        self._closed = False

    @property
    def uri_prefix(self) -> str:
        """What the URIs of all its documents begin with: `s3://bucket/...`, or `s3+` and the source's own endpoint."""
        place = f"s3+{self._config.endpoint.rstrip('/')}/" if self._config.endpoint else "s3://"
        return f"{place}{self._config.bucket}/{self._folder + '/' if self._folder else ''}"

    @property
    def gaps(self) -> list[str]:
        """None: a prefix is listed whole or not at all."""
        return []

    def items(self) -> Iterator[Item]:
        """Every chosen object, in the order of their keys.

        Raises Refused, Invalid, Unavailable; NotFound also when nothing at all is below the prefix, because a server
        that is no S3 server, and a prefix that is misspelt, look like that too.
        """
        found = False
        within = f"{self._folder}/" if self._folder else ""
        with self._explained():
            for batch in obstore.list(self._store(), self._folder or None, chunk_size=_LIST_AT_ONCE):
                for entry in batch:
                    found = True
                    path = entry["path"].removeprefix(within)
                    if entry["path"].startswith(within) and self._chosen(path, entry["size"]):
                        yield self._item(entry["path"], path, entry["size"])
        if not found:
            raise NotFound(
                f"Nothing is below {self.uri_prefix}: check bucket, prefix and endpoint. If it was emptied, remove the source."
            )

    def close(self) -> None:
        """Forgets its connections."""
        self._closed = True
        self._opened = None

    def _chosen(self, path: str, size: int) -> bool:
        parts = path.split("/")
        if size == 0 and "." not in parts[-1]:
            return False  # what consoles put where a folder begins
        return not any(map(is_hidden, parts)) and is_readable(parts[-1], pictures=True) and self._selection.admits(path)

    def _item(self, key: str, path: str, size: int) -> Item:
        return Item(self.uri_prefix + path, clean_name(PurePosixPath(path).name), lambda: self._read(key, size))

    def _read(self, key: str, size: int) -> bytes:
        if size > self._max_bytes:
            raise self._too_large()
        content = bytearray()
        with self._explained():
            for part in obstore.get(self._store(), key).stream(min_chunk_size=_PART_BYTES):
                content += part
                if len(content) > self._max_bytes:
                    raise self._too_large()
        return bytes(content)

    def _too_large(self) -> Invalid:
        return Invalid(f"The object is larger than {self._max_bytes >> 20} MiB (GROUNDWORK_INGEST__MAX_FILE_MB).")

    def _store(self) -> S3Store:
        if self._closed:
            raise Unavailable("The source was closed before its objects were read.")
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    def _open(self) -> S3Store:
        settings, config = self._settings, self._config
        seconds = timedelta(seconds=settings.fetch_timeout_seconds)
        options: dict[str, Any] = {
            "endpoint": config.endpoint or settings.s3_endpoint,
            "region": config.region or settings.s3_region,
            "access_key_id": settings.s3_access_key_id,
            "secret_access_key": settings.s3_secret_access_key and settings.s3_secret_access_key.get_secret_value(),
            "session_token": settings.s3_session_token and settings.s3_session_token.get_secret_value(),
            "skip_signature": config.anonymous or None,
        }
        return S3Store(
            config.bucket,
            **{name: value for name, value in options.items() if value is not None},
            client_options={"timeout": seconds, "connect_timeout": seconds, "allow_http": self._may_be_plain()},
            retry_config={"max_retries": 3, "retry_timeout": 2 * seconds},
        )

    def _may_be_plain(self) -> bool:
        """Whether the endpoint may be reached by http. Raises Refused when it may not be reached at all."""
        endpoint = self._config.endpoint
        if endpoint is None or endpoint == self._settings.s3_endpoint:
            return True  # the operator's own, or Amazon's, which is https
        parts = urlsplit(endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise Invalid(f"{endpoint!r} is not the address of an S3 server: one begins with https://.")
        self._gate.admit(parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))
        if parts.scheme == "http" and not self._gate.allow_private:
            raise Refused(
                f"{endpoint} is reached without https: name it in GROUNDWORK_SOURCES__S3_ENDPOINT where that is meant."
            )
        return self._gate.allow_private

    @contextmanager
    def _explained(self) -> Generator[None]:
        try:
            yield
        except GroundworkError:
            raise
        except (BaseError, OSError, ValueError) as error:
            raise self._meaning(error) from error

    def _meaning(self, error: Exception) -> GroundworkError:
        said = str(error)
        bucket = self._config.bucket
        if isinstance(error, InvalidPathError) or "Could not parse path" in said:
            key = (re.search(r'Path "([^"]*)"', said) or ["", "?"])[1]
            return Invalid(f"The key {key!r} of bucket {bucket} has empty or dotted parts: rename that object.")
        if "NoSuchBucket" in said:
            return NotFound(f"There is no bucket {bucket} on this server: check its name, and region or endpoint.")
        if isinstance(error, UnauthenticatedError | PermissionDeniedError) or re.search(r"status code: 40[13]", said):
            return Refused(
                f"The S3 server does not let these credentials read bucket {bucket}: set GROUNDWORK_SOURCES__S3_ACCESS_KEY_ID "
                "and ..._S3_SECRET_ACCESS_KEY (or AWS_...) to some that may list and read it."
            )
        if isinstance(error, FileNotFoundError) or "status code: 404" in said:
            return NotFound("The object is gone from the bucket since it was listed.")
        if re.search(
            r"status code: 30\d|incorrectly configured region|PermanentRedirect|AuthorizationHeaderMalformed", said
        ):
            return Invalid(f"Bucket {bucket} is in another region: set `region` of the source.")
        return Unavailable(f"The S3 server does not answer as it should: try again later. ({_first(said)})")


def _first(said: str) -> str:
    return " ".join(said.split("\n\nDebug source")[0].split())[:300]
