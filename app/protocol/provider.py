"""A service that people sign in with, or that tools act at for them, as one frozen value (RFC 6749 §3, OIDC Discovery §3)."""

from __future__ import annotations

from dataclasses import dataclass, field

BASIC, POST, NONE = "client_secret_basic", "client_secret_post", "none"


@dataclass(frozen=True, slots=True)
class Way:
    """Where somebody is sent for one purpose. An empty endpoint: the issuer's metadata name it.

    `extra` are further parameters of the authorization request; `member` is where in the token endpoint's answer the user's
    token is, for those that do not have it at the top.
    """

    scopes: tuple[str, ...] = ()
    authorization_endpoint: str = ""
    token_endpoint: str = ""
    extra: tuple[tuple[str, str], ...] = ()
    scope_parameter: str = "scope"
    separator: str = " "
    member: str | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """Where a service says who somebody is, and what it calls that: names of members, with dots on the way down.

    `verified` is the member that says whether the e-mail address is theirs; None: the service does not say.
    `emails_url` is a list of addresses, one of them `primary`, each `verified` or not.
    """

    url: str = ""
    subject: str = "sub"
    email: str = "email"
    verified: str | None = "email_verified"
    names: tuple[str, ...] = ("name", "preferred_username")
    accept: str = "application/json"
    emails_url: str = ""


@dataclass(frozen=True, slots=True)
class Revocation:
    """How a token is given back. `style`: rfc7009; bearer (the token itself asks); github (DELETE, with JSON)."""

    url: str = ""
    style: str = "rfc7009"


@dataclass(frozen=True, slots=True)
class Provider:
    """`name` is in our URLs, `title` on our pages. With `issuer` it speaks OpenID Connect, and its metadata name what is left
    out here. Identities without id_token are filed under `realm`.

    `issuer_template` is for issuers with a name of the tenant in it. `trusts_email`: the operator vouches for its addresses.
    """

    name: str
    title: str
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    token_endpoint_auth_method: str = BASIC
    issuer: str = ""
    issuer_template: str = ""
    realm: str = ""
    sign_in: Way | None = None
    connect: Way | None = None
    profile: Profile = Profile()
    revocation: Revocation = Revocation()
    trusts_email: bool = False
    pkce: bool = True
    documentation: str = ""

    @property
    def is_openid(self) -> bool:
        return bool(self.issuer)
