"""GRANTS: which function redeems which grant type. To add one: a file beside this, and a line here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

from app.oauth.grants import (
    authorization_code,
    client_credentials,
    device_code,
    jwt_bearer,
    payment,
    refresh_token,
    token_exchange,
)
from app.protocol.client_metadata import CLIENT_CREDENTIALS, DEVICE_CODE, PAYMENT, TOKEN_EXCHANGE
from app.protocol.metadata import JWT_BEARER
from app.protocol.params import Params
from app.protocol.types import Authorization, Client
from app.settings.read import Settings
from app.world import World

# `jkt`, when the client holds a key to which its tokens are to be bound (RFC 9449 §5), is its thumbprint.
Redeem = Callable[[World, Client, Params, str | None, datetime], Awaitable[Authorization]]

GRANTS: dict[str, Redeem] = {
    "authorization_code": authorization_code.redeem,
    "refresh_token": refresh_token.redeem,
    TOKEN_EXCHANGE: token_exchange.redeem,
    DEVICE_CODE: device_code.redeem,
    CLIENT_CREDENTIALS: client_credentials.redeem,
}
FEDERATED: dict[str, Redeem] = {JWT_BEARER: jwt_bearer.redeem}
PAID: dict[str, Redeem] = {PAYMENT: payment.redeem}


def offered(settings: Settings) -> dict[str, Redeem]:
    """The grants of this server: with an issuer to trust, an assertion of it is one; and sats, where guests may pay."""
    more = (FEDERATED if settings.trusted_issuers else {}) | (PAID if settings.paid_scope else {})
    return GRANTS | more if more else GRANTS
