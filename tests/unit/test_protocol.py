"""The protocol floor: pure functions, by table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.protocol import challenge, client_metadata, redirect_uri, resource
from app.protocol.errors import InsufficientScope, InvalidRequest, InvalidTarget, InvalidToken, NoToken, OAuthError
from app.protocol.next_step import AskConsent, Issue, Login, Refuse, Step, next_step
from app.protocol.params import parse
from app.protocol.pending import Pending, unpacked
from app.protocol.pkce import challenge_of, is_challenge
from app.protocol.scope import expanded, granted
from app.protocol.types import Consent, Viewer
from app.resources.served import Resources, built_in

NOW = datetime(2026, 11, 21, tzinfo=UTC)
PENDING = Pending(
    client_id="client_1",
    redirect_uri="https://app.example/cb",
    scope=("read",),
    resource="https://mcp.example/mcp",
    code_challenge="x" * 43,
    state="é\0\n",
    prompt=(),
    login_hint=None,
    max_age=None,
    started_at=NOW.timestamp(),
)
ADA = Viewer("usr_1", "ada@example.com", "Ada", False, "ses_1", NOW - timedelta(minutes=5))
LATE = Viewer("usr_1", "ada@example.com", "Ada", True, "ses_1", NOW - timedelta(minutes=15))
GIVEN = Consent(frozenset({"read", "write"}), NOW - timedelta(days=40))
KEYS_TOO = Consent(frozenset({"read", "api_keys"}), NOW - timedelta(days=40))


def pending(**changed: object) -> Pending:
    from dataclasses import replace

    return replace(PENDING, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("request_", "viewer", "consent", "step"),
    [
        (PENDING, None, None, Login),
        (PENDING, ADA, None, AskConsent),
        (PENDING, ADA, GIVEN, Issue),
        (pending(scope=("read", "api_keys")), ADA, GIVEN, AskConsent),
        (pending(redirect_uri="http://127.0.0.1/cb"), ADA, GIVEN, AskConsent),
        (pending(prompt=("consent",)), ADA, GIVEN, AskConsent),
        (pending(prompt=("select_account",)), ADA, GIVEN, AskConsent),
        (pending(prompt=("consent",), approved_by="ses_1"), ADA, None, Issue),
        (pending(approved_by="ses_2"), ADA, None, AskConsent),
        (pending(prompt=("login",)), ADA, GIVEN, Login),
        (pending(prompt=("login",), started_at=(NOW - timedelta(minutes=6)).timestamp()), ADA, GIVEN, Issue),
        (pending(prompt=("login",), approved_by="ses_1"), ADA, GIVEN, Login),
        (pending(max_age=400), ADA, GIVEN, Issue),
        (pending(max_age=200), ADA, GIVEN, Login),
        (pending(prompt=("none",)), None, None, Refuse),
        (pending(prompt=("none",)), ADA, None, Refuse),
        (pending(prompt=("none",)), ADA, GIVEN, Issue),
        (pending(scope=("read", "api_keys")), ADA, KEYS_TOO, Issue),
        (pending(scope=("read", "api_keys")), LATE, KEYS_TOO, Login),
        (pending(scope=("api_keys",), approved_by="ses_1"), LATE, None, Login),
        (pending(scope=("api_keys",), prompt=("none",)), LATE, KEYS_TOO, Refuse),
        (pending(scope=("admin",)), LATE, None, Login),
        (pending(scope=("admin",)), ADA, None, AskConsent),
        (pending(), LATE, KEYS_TOO, Issue),
    ],
)
def test_the_next_step(request_: Pending, viewer: Viewer | None, consent: Consent | None, step: type[Step]) -> None:
    assert type(next_step(request_, viewer, consent, NOW)) is step


def test_a_pending_request_survives_its_journey() -> None:
    assert unpacked(PENDING.packed()) == PENDING
    assert unpacked(PENDING.approved("ses_1").packed()).approved_by == "ses_1"
    assert not PENDING.expired(NOW + timedelta(minutes=29))
    assert PENDING.expired(NOW + timedelta(minutes=31))


@pytest.mark.parametrize(
    ("asked", "registered", "given"),
    [
        (None, None, ("read", "write")),
        ("", None, ("read", "write")),
        ("read", None, ("read",)),
        ("write read write", None, ("write", "read")),
        ("read bogus offline_access", None, ("read",)),
        ("profile email", None, ("read", "write")),
        ("openid profile", "read", ("openid", "profile")),
        ("email openid read bogus", None, ("email", "openid", "read")),
        (None, "openid profile", ("read", "write")),
        (None, "read", ("read",)),
        ("bogus", "read", ("read",)),
        ("write", "read", ("write",)),
    ],
)
def test_what_a_request_for_scopes_ends_up_with(
    asked: str | None, registered: str | None, given: tuple[str, ...]
) -> None:
    assert granted(asked, registered) == given


def test_a_request_that_names_the_resource_wants_the_tools() -> None:
    assert granted("openid", names_resource=True) == ("openid", "read", "write")
    assert granted("openid", "read bogus", names_resource=True) == ("openid", "read")
    assert granted("openid read", names_resource=True) == ("openid", "read")


def test_write_reaches_what_read_reaches() -> None:
    assert expanded(frozenset({"write"})) == {"read", "write"}
    assert expanded(frozenset({"api_keys"})) == {"api_keys"}
    assert expanded(frozenset()) == frozenset()


@pytest.mark.parametrize(
    ("uri", "canonical"),
    [
        ("https://MCP.Example/mcp", "https://mcp.example/mcp"),
        ("HTTPS://mcp.example:443/mcp/", "https://mcp.example/mcp"),
        ("https://mcp.example", "https://mcp.example"),
        ("http://[::1]:8000/mcp", "http://[::1]:8000/mcp"),
        ("https://mcp.example/mcp#f", None),
        ("https://user@mcp.example/mcp", None),
        ("https://mcp.example:x/mcp", None),
        ("mcp", None),
        ("ftp://mcp.example/", None),
    ],
)
def test_a_resource_has_one_spelling(uri: str, canonical: str | None) -> None:
    assert resource.canonical(uri) == canonical


def test_only_our_resource_is_resolved() -> None:
    ours = ("https://mcp.example/mcp", "https://mcp.example")
    assert resolve() == resolve("https://mcp.example/") == resolve("https://MCP.example/mcp/") == ours[0]
    with pytest.raises(InvalidTarget):
        resolve("https://mcp.example/mcp", "https://other.example/mcp")


def resolve(*asked: str) -> str:
    issuer = "https://mcp.example"
    return Resources.of(issuer, [built_in(issuer)]).resolve(list(asked)).audience


def test_pkce_is_that_of_the_specification() -> None:
    """RFC 7636 appendix B."""
    assert challenge_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    assert is_challenge("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
    assert not is_challenge("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM\n")


def test_parameters_come_once_and_empty_is_absent() -> None:
    params = parse(b"a=1&b=&c=2&c=3&d=%00&resource=x&resource=y")
    assert params.get("a") == "1"
    assert params.get("b") is None
    assert params.all("resource") == ["x", "y"]
    assert params.verbatim("d") == "\0"
    for name in ("c", "d"):
        with pytest.raises(InvalidRequest):
            params.get(name)
    with pytest.raises(InvalidRequest):
        params.refuse_repeats()
    parse(b"resource=x&resource=y").refuse_repeats()
    for hostile in (b"\xff=1", b"%ff=1", b"&".join(b"a%d=1" % n for n in range(61))):
        with pytest.raises(InvalidRequest):
            parse(hostile)


def test_an_error_description_stays_inside_its_characters() -> None:
    """RFC 6749 §5.2: no quote, no backslash, nothing beyond ASCII, no line break."""
    assert OAuthError('a"b\\c\né').description == "a?b?c??"


def test_the_challenge_says_what_was_wrong_and_what_to_ask_for() -> None:
    url, scope = "https://mcp.example/.well-known/oauth-protected-resource/mcp", "read write"
    assert challenge.challenge(NoToken("x"), url, scope) == f'Bearer resource_metadata="{url}", scope="{scope}"'
    assert challenge.challenge(InvalidToken("why"), url, scope).startswith(
        'Bearer error="invalid_token", error_description="why"'
    )
    refusal = InsufficientScope("x", frozenset({"read", "write"}))
    assert challenge.needed_scope(refusal, frozenset({"api_keys"}), ("read",)) == "api_keys read write"
    assert challenge.needed_scope(NoToken("x"), frozenset(), ("read", "write")) == "read write"


def test_the_place_is_told_as_people_know_it() -> None:
    assert redirect_uri.shown_host("https://claude.ai/api/mcp/auth_callback") == "claude.ai"
    assert redirect_uri.shown_host("http://[::1]:1/cb") == "::1"
    assert redirect_uri.shown_host("cursor://anysphere/cb") == "cursor://"
    assert redirect_uri.is_local("cursor://x")
    assert not redirect_uri.is_local("https://x.example/")
    assert redirect_uri.with_parameters("https://x.example/?a=1", {"b": "2", "c": None}) == "https://x.example/?a=1&b=2"


def test_metadata_is_the_same_whatever_the_order() -> None:
    one = client_metadata.checked({"redirect_uris": ["https://a.example/"], "client_name": "x"})
    two = client_metadata.checked({"client_name": "x", "redirect_uris": ["https://a.example/"], "scope": None})
    assert client_metadata.registration_key(one) == client_metadata.registration_key(two)
