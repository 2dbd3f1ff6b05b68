"""The error words of the calls for agents: the seed's (`/api/mcp/*`), and those that payments need."""

from __future__ import annotations

from typing import Any

from app.protocol.errors import OAuthError


class LightningOff(OAuthError):
    """No node is configured."""

    error, status = "lightning_unavailable", 501


class NodeAway(OAuthError):
    error, status = "lightning_unavailable", 503


class MissingApiKey(OAuthError):
    """The seed's words, as the next three: what `X-LW-Public` names."""

    error, status = "missing_api_key", 401


class InvalidApiKey(OAuthError):
    error, status = "invalid_api_key", 401


class ApiKeyRevoked(OAuthError):
    error, status = "api_key_revoked", 403


class ProjectPaused(OAuthError):
    """For a while, until the operator lets it go on."""

    error, status = "project_paused", 403


class RateLimitExceeded(OAuthError):
    error, status = "rate_limit_exceeded", 429

    def document(self) -> dict[str, Any]:
        """With the seed's own spelling of Retry-After."""
        return {**super().document(), "retry_after_seconds": self.retry_after}


class InvalidWork(OAuthError):
    """A challenge that is not ours, expired, used, or not solved."""

    error, status = "invalid_proof_of_work", 400


class UnknownQuote(OAuthError):
    error, status = "quote_not_found", 404


class QuoteClaimed(OAuthError):
    """What it paid for has been given."""

    error, status = "quote_already_confirmed", 409


class NoBudget(OAuthError):
    error, status = "no_budget", 403


class WorkNeeded(OAuthError):
    """With the challenge that opens the gate."""

    error, status = "proof_of_work_required", 403

    def __init__(self, description: str, challenge: dict[str, Any]) -> None:
        super().__init__(description)
        self.challenge = challenge

    def document(self) -> dict[str, Any]:
        return {**super().document(), "powChallenge": self.challenge}
