"""The rules of an authorization request, in one place and in order (RFC 6749 §4.1.1, RFC 7636 §4.4.1, RFC 8707 §2.1)."""

from __future__ import annotations

from datetime import datetime

from app.protocol.errors import (
    InvalidRequest,
    RequestNotSupported,
    RequestUriNotSupported,
    UnauthorizedClient,
    UnsupportedResponseType,
)
from app.protocol.params import Params
from app.protocol.pending import Pending
from app.protocol.pkce import is_challenge
from app.protocol.scope import granted, words_of
from app.protocol.types import Client
from app.resources.served import Resources
from app.tokens.dpop import is_thumbprint

MAX_STATE = 4096
MAX_NONCE = 512
PROMPTS = frozenset({"none", "login", "consent", "select_account"})


def validate(params: Params, client: Client, redirect_uri: str, resources: Resources, now: datetime) -> Pending:
    """The checked request. Raises the OAuthError that the client is to be told."""
    params.refuse_repeats()
    _check_response(params, client)
    state = params.verbatim("state")
    if state is not None and len(state) > MAX_STATE:
        raise InvalidRequest("{name} is longer than {most} characters", name="state", most=MAX_STATE)
    named = params.all("resource")
    resource = resources.resolve(named)
    scope = granted(
        params.get("scope"),
        resources.registered(resource, client.scope),
        names_resource=bool(named),
        scopes=resource.scopes,
        default=resource.default,
    )
    return Pending(
        client_id=client.client_id,
        redirect_uri=redirect_uri,
        scope=scope,
        resource=resource.audience,
        code_challenge=_code_challenge(params),
        state=state,
        prompt=_prompt(params),
        login_hint=(params.get("login_hint") or "")[:254] or None,
        max_age=_max_age(params),
        started_at=now.timestamp(),
        nonce=_nonce(params),
        dpop_jkt=_dpop_jkt(params),
        ui_locales=(params.get("ui_locales") or "")[:100] or None,
    )


def _check_response(params: Params, client: Client) -> None:
    if params.get("request"):
        raise RequestNotSupported("request objects are not supported")
    if params.get("request_uri"):
        raise RequestUriNotSupported("a request by reference has to be pushed to /par first")
    if params.required("response_type") != "code":
        raise UnsupportedResponseType("response_type must be code")
    if params.get("response_mode") not in (None, "query"):
        raise InvalidRequest("response_mode must be query")
    if "authorization_code" not in client.grant_types:
        raise UnauthorizedClient("this client did not register for authorization_code")


def _code_challenge(params: Params) -> str:
    """OAuth 2.1 §7.5: PKCE for everybody; no method means `plain` (RFC 7636 §4.3), which is refused."""
    code_challenge = params.required("code_challenge")
    if params.get("code_challenge_method") != "S256":
        raise InvalidRequest("code_challenge_method must be S256")
    if not is_challenge(code_challenge):
        raise InvalidRequest("code_challenge is not an S256 challenge")
    return code_challenge


def _prompt(params: Params) -> tuple[str, ...]:
    """OIDC Core §3.1.2.1; words we do not know ask for nothing."""
    prompt = tuple(word for word in words_of(params.get("prompt")) if word in PROMPTS)
    if "none" in prompt and len(prompt) > 1:
        raise InvalidRequest("prompt=none stands alone")
    return prompt


def _nonce(params: Params) -> str | None:
    """OIDC Core §3.1.2.1: it goes into the id_token as it came."""
    nonce = params.get("nonce")
    if nonce is not None and len(nonce) > MAX_NONCE:
        raise InvalidRequest("{name} is longer than {most} characters", name="nonce", most=MAX_NONCE)
    return nonce


def _dpop_jkt(params: Params) -> str | None:
    """RFC 9449 §10: the thumbprint of the key that is going to redeem the code."""
    dpop_jkt = params.get("dpop_jkt")
    if dpop_jkt is not None and not is_thumbprint(dpop_jkt):
        raise InvalidRequest("dpop_jkt is not a JWK SHA-256 thumbprint")
    return dpop_jkt


def _max_age(params: Params) -> int | None:
    text = params.get("max_age")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InvalidRequest("max_age is not a number of seconds")
    return int(text)
