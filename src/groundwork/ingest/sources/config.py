"""What a source of each kind is told: small values, stored with the source. They hold no secret."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

Kind = Literal["folder", "web", "git", "s3"]

Pattern = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500, pattern=r"^[^\x00-\x1f!]")
]
Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000, pattern=r"^[^\x00-\x1f\x7f]+$")
]
_WITH_PASSWORD = re.compile(r"\s*(https?://[^/?#]*@|[\w+.-]+://[^/?#]*:[^/?#]*@)", re.IGNORECASE)


def _without_password(address: str) -> str:
    """The address. Raises ValueError for one with a password in it, or with a user over HTTP, who may be a token."""
    if _WITH_PASSWORD.match(address):
        raise ValueError(
            "addresses are stored and shown, so that one with a password in it is not taken: leave it out, and give git a "
            "key for ssh or a credential helper, S3 the settings"
        )
    return address


Address = Annotated[Text, AfterValidator(_without_password)]


class Config(BaseModel):
    """What every kind is told: patterns as in a `.gitignore` file that choose among its documents."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    include: tuple[Pattern, ...] = Field(default=(), description="Patterns of what is taken; none: everything.")
    exclude: tuple[Pattern, ...] = Field(default=(), description="Patterns of what is left out again.")


class FolderConfig(Config):
    """A file, or everything below a folder."""

    path: Text = Field(description="Absolute path on the machine that ingests.")


class WebConfig(Config):
    """Pages by address, by sitemap, and by following links. Patterns are compared with the path of an address."""

    urls: tuple[Address, ...] = Field(default=(), description="Addresses of pages.")
    sitemaps: tuple[Address, ...] = Field(default=(), description="Addresses of sitemaps, plain, gzipped or indexes.")
    depth: int = Field(
        default=0, ge=0, le=20, description="How many links away from `urls` pages of the same site are taken."
    )
    max_pages: int | None = Field(
        default=None, ge=1, description="Most pages taken; the installation's own limit holds as well."
    )

    @model_validator(mode="after")
    def _names_something(self) -> "WebConfig":
        if not self.urls and not self.sitemaps:
            raise ValueError("name at least one address in `urls` or `sitemaps`")
        return self


class GitConfig(Config):
    """The files of one branch of a git repository."""

    url: Address = Field(description="Address (https, ssh, file) or absolute local path of the repository.")
    branch: Text | None = Field(default=None, description="Branch; none: the repository's default.")
    path: str = Field(default="", max_length=2000, description="Folder within the repository; empty: all of it.")

    @model_validator(mode="after")
    def _is_no_option(self) -> "GitConfig":
        if self.url.startswith("-") or (self.branch or "").startswith("-"):
            raise ValueError("an address or a branch does not begin with a dash")
        if self.branch is not None and not _is_branch(self.branch):
            raise ValueError(f"{self.branch!r} is not the name of a branch")
        if ".." in self.path.split("/") or "\0" in self.path:
            raise ValueError("`path` stays within the repository")
        return self


class S3Config(Config):
    """Objects of an S3 bucket below a prefix. Credentials come from the settings or the environment, never from here."""

    bucket: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$", description="Name of the bucket.")
    prefix: str = Field(default="", max_length=1024, description="Folder within the bucket; empty: all of it.")
    endpoint: Address | None = Field(
        default=None,
        description="Address of a server that speaks S3; none: GROUNDWORK_SOURCES__S3_ENDPOINT, else Amazon.",
    )
    region: Text | None = Field(default=None, description="Region of the bucket; none: from settings or environment.")
    anonymous: bool = Field(default=False, description="Read a public bucket without credentials.")


def _is_branch(name: str) -> bool:
    """The rules of `git check-ref-format` that a branch can break."""
    if re.search(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//", name) or name.endswith(("/", ".")) or name in ("@", "HEAD"):
        return False
    return all(part and not part.startswith(".") and not part.endswith(".lock") for part in name.split("/"))
