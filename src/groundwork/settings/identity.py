"""Settings of who asks: tokens, the audit log, and single sign-on with an OpenID Connect provider."""

from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from groundwork.settings.addresses import is_loopback

RoleName = Literal["admin", "reviewer", "member"]


class AuthSettings(BaseModel):
    """How people and programs prove who they are."""

    token_minutes: float = Field(
        default=30.0, gt=0, le=1440, description="How long a token from /auth/token holds, in minutes."
    )
    audit_days: int = Field(default=90, ge=1, description="Days the audit log is kept.")
    secret_max_age_days: int = Field(
        default=90, ge=1, description="Age in days from which the security report asks for a new signing secret."
    )
    certificate_warn_days: int = Field(
        default=21, ge=1, description="Days before the end of the TLS certificate from which the security report warns."
    )
    oidc_issuer: str | None = Field(
        default=None,
        description="Address of an OpenID Connect provider that people sign in with at /auth/oidc/login, as it calls itself. "
        "Unset: no single sign-on.",
    )
    oidc_client_id: str | None = Field(default=None, description="What the provider calls Groundwork; needed with it.")
    oidc_client_secret: SecretStr | None = Field(
        default=None, description="Groundwork's password there; unset for a public client, which has none."
    )
    oidc_scopes: str = Field(
        default="openid email profile",
        pattern=r"^openid( .*)?$",
        description="What the provider is asked to tell; `openid` comes first.",
    )
    oidc_name_claim: str = Field(
        default="email",
        min_length=1,
        description="The claim that names an account, such as `preferred_username`. Choose one people cannot change "
        "themselves: rights on collections go by name.",
    )
    oidc_role_claim: str | None = Field(
        default=None,
        description="The claim that `oidc_roles` looks into, a text or a list, such as `groups`. Unset: new people get "
        "`oidc_default_role`.",
    )
    oidc_roles: dict[str, RoleName] = Field(
        default={},
        description='Roles by value of that claim, as JSON (`{"staff": "member", "docs-team": "reviewer"}`), taken over at '
        "every login; of several the one with the most rights. Without a value named here an account keeps its role.",
    )
    oidc_default_role: RoleName = Field(default="member", description="Role of new people whose claims name none.")
    oidc_allowed_domains: list[str] = Field(
        default=[],
        description='Domains of the e-mail addresses that may sign in so, as JSON (`["example.org"]`). Empty: everybody whose '
        "address the provider has verified.",
    )

    @field_validator("oidc_issuer")
    @classmethod
    def _safe_issuer(cls, issuer: str | None) -> str | None:
        if issuer is not None and not is_safe_address(issuer):
            raise ValueError(f"{issuer!r} is not an address with https, such as https://login.example.org/realms/main.")
        return issuer

    @field_validator("oidc_allowed_domains")
    @classmethod
    def _plain_domains(cls, domains: list[str]) -> list[str]:
        for domain in domains:
            if not domain or "@" in domain or domain.startswith((".", "*")):
                raise ValueError(
                    f'{domain!r} is not a domain. Write what stands behind the @, such as ["example.org"].'
                )
        return [domain.casefold() for domain in domains]

    @model_validator(mode="after")
    def _client_with_issuer(self) -> Self:
        if self.oidc_issuer is not None and not self.oidc_client_id:
            raise ValueError("the provider has to know Groundwork; set GROUNDWORK_AUTH__OIDC_CLIENT_ID too.")
        return self


def is_safe_address(url: str) -> bool:
    """Whether secrets may be sent there: an address with https, or on this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))
