"""Every error word that goes on the wire, with its status (RFC 6749 §4.1.2.1 and §5.2, 6750 §3.1, 7009, 7591, 8628 §3.5, 8707, 9449)."""

from __future__ import annotations

from typing import Any, ClassVar


class OAuthError(Exception):
    """A refusal in the specification's own word; `description` is what is sent.

    The `values` of a template, such as `{name} is missing`, stay apart from it, so that pages can say it in other
    languages; one may be another refusal.
    """

    error: ClassVar[str] = "server_error"
    status: int = 500
    heading: str = ""  # for people, where the status says too little
    way_back: tuple[str, str] | None = None  # for people: an address, and what its link says

    def __init__(self, template: str, *, retry_after: int | None = None, **values: object) -> None:
        self.template, self.values = template, values
        said = template.format(**values) if values else template
        super().__init__(said)
        # RFC 6749 §5.2: error_description is %x20-21 / %x23-5B / %x5D-7E.
        self.description = "".join(c if " " <= c <= "~" and c not in '"\\' else "?" for c in said)
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """What the answer says in headers (RFC 9110 §10.2.3)."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}

    @property
    def challenges(self) -> list[tuple[str, str]]:
        """Further headers, of which there may be several of one name."""
        return []

    def document(self) -> dict[str, Any]:
        """The JSON body of RFC 6749 §5.2."""
        return {"error": self.error, "error_description": self.description}


class InvalidRequest(OAuthError):
    error, status = "invalid_request", 400


class UnknownApiKey(InvalidRequest):
    """RFC 8693 §2.2.2 has no other word for it; guesses are counted."""


class InvalidClient(OAuthError):
    error, status = "invalid_client", 401

    def __init__(self, description: str, *, tried_basic: bool = False) -> None:
        super().__init__(description)
        self.tried_basic = tried_basic  # RFC 6749 §5.2: then the answer names the Basic scheme


class InvalidClientDocument(OAuthError):
    """A client_id that is a URL, and what is there will not do, or not now: told to the person at the browser (CIMD draft §4)."""

    error, status = "invalid_client", 400

    def __init__(self, template: str, *, retry_after: int | None = None, **values: object) -> None:
        super().__init__(template, retry_after=retry_after, **values)
        if retry_after is not None:
            self.status = 503


class InvalidGrant(OAuthError):
    error, status = "invalid_grant", 400


class UnauthorizedClient(OAuthError):
    error, status = "unauthorized_client", 400


class ClientBlocked(UnauthorizedClient):
    """Not `invalid_client`: on that clients register anew, and this one would only be told the same."""


class UnsupportedGrantType(OAuthError):
    error, status = "unsupported_grant_type", 400


class UnsupportedResponseType(OAuthError):
    error, status = "unsupported_response_type", 400


class RequestNotSupported(OAuthError):
    error, status = "request_not_supported", 400


class RequestUriNotSupported(OAuthError):
    """OIDC Core §3.1.2.6, of a `request_uri` that is not of our own /par."""

    error, status = "request_uri_not_supported", 400


class InvalidScope(OAuthError):
    error, status = "invalid_scope", 400


class InvalidTarget(OAuthError):
    error, status = "invalid_target", 400


class AccessDenied(OAuthError):
    error, status = "access_denied", 403


class DeviceRefused(OAuthError):
    """RFC 8628 §3.5, at the token endpoint, where every such word has status 400."""

    error, status = "access_denied", 400


class AuthorizationPending(OAuthError):
    error, status = "authorization_pending", 400


class SlowDown(OAuthError):
    error, status = "slow_down", 400


class ExpiredToken(OAuthError):
    error, status = "expired_token", 400


class LoginRequired(OAuthError):
    error, status = "login_required", 400


class ConsentRequired(OAuthError):
    error, status = "consent_required", 400


class InvalidRedirectUri(OAuthError):
    error, status = "invalid_redirect_uri", 400


class InvalidClientMetadata(OAuthError):
    error, status = "invalid_client_metadata", 400


class ClientLimitExceeded(OAuthError):
    """The seed's word for a full client table."""

    error, status = "client_limit_exceeded", 403


class TooManyRequests(OAuthError):
    """The seed's word; RFC 6585 §4 for the status."""

    error, status = "too_many_requests", 429


class BodyTooLarge(OAuthError):
    error, status = "invalid_request", 413


class BodyTooSlow(OAuthError):
    error, status = "invalid_request", 408

    @property
    def headers(self) -> dict[str, str]:
        """RFC 9110 §15.5.9: what still comes is not waited for."""
        return super().headers | {"Connection": "close"}


class Misdirected(OAuthError):
    """RFC 9110 §15.5.20, in the word that /mcp says too."""

    error, status = "misdirected_request", 421


class TemporarilyUnavailable(OAuthError):
    error, status = "temporarily_unavailable", 503


class NoToken(OAuthError):
    """RFC 6750 §3.1: a request without authentication is told no error word."""

    error, status = "unauthorized", 401


class InvalidToken(OAuthError):
    error, status = "invalid_token", 401


class InvalidDpopProof(OAuthError):
    """RFC 9449 §5 and §7.1: 400 where tokens are given, 401 where they are used."""

    error = "invalid_dpop_proof"

    def __init__(self, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.status = status


class UseDpopNonce(InvalidDpopProof):
    """RFC 9449 §8 and §9."""

    error = "use_dpop_nonce"

    def __init__(self, description: str, status: int, nonce: str) -> None:
        super().__init__(description, status)
        self.nonce = nonce

    @property
    def headers(self) -> dict[str, str]:
        return {"DPoP-Nonce": self.nonce}


class InsufficientScope(OAuthError):
    error, status = "insufficient_scope", 403

    def __init__(self, description: str, needed: frozenset[str]) -> None:
        super().__init__(description)
        self.needed = needed


class NotFound(OAuthError):
    error, status = "not_found", 404


class Conflict(OAuthError):
    """What was asked for does not go with how things stand, such as the last admin's end."""

    error, status = "conflict", 409


class SignInAgain(OAuthError):
    """RFC 9470 §3: the sign-in is too old for what is asked for."""

    error, status = "insufficient_user_authentication", 403
