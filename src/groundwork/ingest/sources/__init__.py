"""Sources: where documents come from. A source lists its documents and reads them; it knows no database.

One file per kind, `config` for what each is told, `addresses` for what may be fetched from. A source is opened for one
sync, listed once from one thread, read from several, and closed.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, get_args

from pydantic import ValidationError

from groundwork.errors import Invalid, NotFound
from groundwork.ingest.items import Item
from groundwork.ingest.sources.config import Config, FolderConfig, GitConfig, Kind, S3Config, WebConfig
from groundwork.settings import Settings

_CONFIGS: dict[Kind, type[Config]] = {"folder": FolderConfig, "web": WebConfig, "git": GitConfig, "s3": S3Config}
_SITEMAP = re.compile(r"(?:^|/)[^/]*sitemap[^/]*\.(?:xml|txt)(?:\.gz)?$", re.I)
_SCP_LIKE = re.compile(r"[\w.-]+@[\w.-]+:(?!//)[^\s]+")

# An @ before the path is the user's: `ssh://git@host/...`, `git@host:...`.
_AT_BRANCH = re.compile(r"(?P<url>\w+://[^/]*/.*|[\w.-]+@[\w.-]+:.+|[^@:]+)@(?P<branch>[^@:]+)")


class Source(Protocol):
    """Documents in one place."""

    @property
    def uri_prefix(self) -> str:
        """What the URIs of all its documents begin with; those of another source may begin with it too."""
        ...

    @property
    def gaps(self) -> Sequence[str]:
        """What `items` could not look into, and why. While there are any, a document not offered is not gone."""
        ...

    def items(self) -> Iterator[Item]:
        """Its documents, one by one, each URI once; the same document has the same URI every time. Blocks.

        Raises NotFound when the place is not there, Unavailable when it does not answer, Refused when it may not be
        fetched from, Invalid when it is not what it was said to be.

        What `Item.read` raises concerns that document alone. Unavailable from it says that the document could not be
        reached this time, not that anything is wrong with it.
        """
        ...

    def close(self) -> None:
        """Lets go of what it holds; items can no longer be read."""
        ...


def open_source(kind: str, config: Mapping[str, Any], settings: Settings) -> Source:
    """The source of that kind and configuration. Nothing is fetched yet.

    Raises Invalid for a kind there is not and a configuration that makes no sense.
    """
    checked = check_config(kind, config)
    max_bytes = settings.ingest.max_file_mb << 20
    # Imported here for start-up time: each kind brings a library that the others do without.
    match checked:
        case FolderConfig():
            from groundwork.ingest.sources.folder import FolderSource  # start-up time

            return FolderSource(checked, max_bytes)
        case WebConfig():
            from groundwork.ingest.sources.web import WebSource  # start-up time

            return WebSource(checked, settings.sources)
        case GitConfig():
            from groundwork.ingest.sources.git import GitSource  # start-up time

            return GitSource(checked, settings.sources, settings.data_dir / "cache" / "git", max_bytes)
        case S3Config():
            from groundwork.ingest.sources.s3 import S3Source  # start-up time

            return S3Source(checked, settings.sources, max_bytes)
        case _:
            raise Invalid(_no_such_kind(kind))


def check_config(kind: str, config: Mapping[str, Any]) -> Config:
    """The configuration of a source, validated. Raises Invalid naming every option that is wrong."""
    model = _CONFIGS.get(kind)  # type: ignore[arg-type]
    if model is None:
        raise Invalid(_no_such_kind(kind))
    try:
        return model.model_validate(dict(config))
    except ValidationError as error:
        raise Invalid(_explain(kind, model, error)) from None


def parse_location(location: str, options: Mapping[str, Any] | None = None) -> tuple[Kind, dict[str, Any]]:
    """The kind of source that `location` names, and its configuration: with `options`, complete and ready for JSON.

    An existing path is a folder, `s3://bucket/prefix` an S3 prefix (`s3+https://host/bucket/prefix` on another server
    than Amazon's), an address that ends in `.git` or begins with `git+` a repository (`git+ADDRESS@BRANCH`), any other
    web address a page or a sitemap.

    Raises Invalid for a location or an option that makes no sense, NotFound for a path where nothing is.
    """
    kind, config = _guess(location.strip())
    checked = check_config(kind, {**config, **(options or {})})
    return kind, checked.model_dump(mode="json", exclude_defaults=True)


def _guess(location: str) -> tuple[Kind, dict[str, Any]]:
    scheme = location.partition(":")[0].lower() if "://" in location else ""
    if location.startswith("git+"):
        return "git", _repository(location.removeprefix("git+"))
    if scheme == "s3" or scheme.startswith("s3+"):
        return "s3", _bucket(location)
    if scheme in ("http", "https"):
        if re.search(r"\.git/?$", location):
            return "git", {"url": location}
        return "web", {"sitemaps" if _SITEMAP.search(location.partition("?")[0]) else "urls": [location]}
    if scheme == "ssh" or _SCP_LIKE.fullmatch(location):
        return "git", {"url": location}
    if scheme not in ("", "file"):
        raise Invalid(f"{scheme}:// is no source: give a path, an http(s) or s3 address, or a git repository.")
    path = Path(location.removeprefix("file://")).expanduser().resolve()
    if not path.exists():
        raise NotFound(f"There is no file or folder at {path}. Check the path and try again.")
    return "folder", {"path": str(path)}


def _repository(location: str) -> dict[str, Any]:
    found = _AT_BRANCH.fullmatch(location)
    url = found["url"] if found else location
    if "://" not in url and not _SCP_LIKE.fullmatch(url):
        url = str(Path(url).expanduser().resolve())
    return {"url": url, "branch": found["branch"]} if found else {"url": url}


def _bucket(location: str) -> dict[str, Any]:
    scheme, _, rest = location.partition("://")
    endpoint = None
    if scheme.lower() != "s3":
        host, _, rest = rest.partition("/")
        endpoint = f"{scheme[3:].lower()}://{host}"
    bucket, _, prefix = rest.partition("/")
    config = {"bucket": bucket, "prefix": prefix.strip("/")}
    return {**config, "endpoint": endpoint} if endpoint else config


def _no_such_kind(kind: str) -> str:
    return f"There is no kind of source {kind!r}; there are {', '.join(get_args(Kind))}."


def _explain(kind: str, model: type[Config], error: ValidationError) -> str:
    problems = [f"{'.'.join(map(str, each['loc'])) or 'options'}: {each['msg']}" for each in error.errors()]
    known = ", ".join(model.model_fields)
    return f"This is no {kind} source: {'; '.join(problems)}. Its options are {known}."
