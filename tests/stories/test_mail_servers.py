"""Mail servers as they are: with TLS, with a password, slow, down, refusing; and settings that cannot work (RFC 5321, RFC 3207)."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from pydantic import SecretStr

from app import mail
from app.mail import Letter, Post, Undelivered, written
from app.settings.read import Settings, SettingsError, load
from app.settings.smtp_url import smtp_server
from tests.actors import Browser
from tests.conftest import SECRET_KEY, Clock, House
from tests.doors import certificate
from tests.mailbox import Mailboxes, Silent

pytestmark = pytest.mark.anyio
LETTER = Letter("ada@example.com", None, "Hello", ("Good day.",), facts={"name": "Ada"})
GIVEN = {
    "public_url": "https://mcp.example.com",
    "database_url": SecretStr("postgresql://x"),
    "secret_key": (SecretStr(SECRET_KEY),),
}
Open = Callable[..., Mailboxes]


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    return certificate(tmp_path_factory.mktemp("mail"))


@pytest.fixture
def boxes() -> Iterator[Open]:
    opened: list[Mailboxes] = []

    def make(**options: object) -> Mailboxes:
        opened.append(Mailboxes(**options))  # type: ignore[arg-type]
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def post(url: str, **options: object) -> Post:
    options = {"mail_from": "Gatehouse <no-reply@example.com>", "smtp_url": SecretStr(url), **options}
    return Post(Settings(**GIVEN, **options), Clock())  # type: ignore[arg-type]


async def test_starttls_and_a_password(boxes: Open, tls: tuple[ssl.SSLContext, Path]) -> None:
    """The certificate is looked at; special characters are percent-encoded in the URL."""
    server = boxes(tls=tls[0], auth=True)
    url = f"smtp://post%20man:s3cret%40%2F%3A@localhost:{server.port}"
    await post(url, ca_file=tls[1]).deliver(LETTER)
    assert [(letter.over_tls, letter.user) for letter in server.letters] == [(True, "post man")]
    with pytest.raises(Undelivered, match="certificate"):
        await post(url).deliver(LETTER)
    with pytest.raises(Undelivered) as wrong:
        await post(f"smtp://post%20man:wrong@localhost:{server.port}", ca_file=tls[1]).deliver(LETTER)
    assert wrong.value.why == "SMTPAuthenticationError 535"
    assert wrong.value.final
    assert len(server.letters) == 1


async def test_tls_from_the_first_byte(boxes: Open, tls: tuple[ssl.SSLContext, Path]) -> None:
    server = boxes(tls=tls[0], implicit=True)
    await post(f"smtps://localhost:{server.port}", ca_file=tls[1]).deliver(LETTER)
    assert len(server.letters) == 1


async def test_a_server_without_starttls_gets_nothing_unless_told_so(boxes: Open) -> None:
    """Nobody between takes the letters by leaving STARTTLS out (RFC 3207 §6)."""
    server = boxes()
    with pytest.raises(Undelivered, match="STARTTLS"):
        await post(f"smtp://localhost:{server.port}").deliver(LETTER)
    assert server.letters == []
    await post(f"smtp://localhost:{server.port}?tls=none").deliver(LETTER)
    assert len(server.letters) == 1


async def test_a_moments_trouble_is_tried_again_once(boxes: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "RETRY_SECONDS", 0.01)
    server = boxes()
    office = post(f"smtp://localhost:{server.port}?tls=none")
    server.refuse = ["451 later"]
    await office.deliver(LETTER)
    assert len(server.letters) == 1
    server.refuse = ["451 later", "451 later", "451 later"]
    with pytest.raises(Undelivered) as refused:
        await office.deliver(LETTER)
    assert refused.value.why == "SMTPRecipientsRefused 451"
    assert len(server.refuse) == 1, "two attempts, no more"
    server.refuse = ["550 no such mailbox", "550 no such mailbox"]
    with pytest.raises(Undelivered) as final:
        await office.deliver(LETTER)
    assert final.value.final
    assert len(server.refuse) == 1, "for good is for good"


async def test_a_server_that_is_down_and_one_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "RETRY_SECONDS", 0.01)
    silent = Silent()
    with pytest.raises(Undelivered) as late:
        await post(f"smtp://localhost:{silent.port}?tls=none", smtp_timeout=1).deliver(LETTER)
    assert "Timeout" in late.value.why
    assert silent.taken() == 2
    silent.close()
    with pytest.raises(Undelivered) as down:
        await post(f"smtp://localhost:{silent.port}?tls=none").deliver(LETTER)
    assert "Connect" in down.value.why


async def test_letters_wait_in_a_queue_with_an_end(capfd: pytest.CaptureFixture[str]) -> None:
    silent = Silent()
    office = post(f"smtp://localhost:{silent.port}?tls=none")

    async def errand() -> Letter:
        return LETTER

    for _ in range(mail.WAITING + 5):
        office.soon(errand)
    assert len(office._waiting) == mail.WAITING
    await office.settle(1.0)
    assert silent.taken() == mail.AT_ONCE
    assert not office._waiting
    silent.close()


def test_pages_do_not_wait_for_the_mail_server(dsn: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Neither for a slow one nor for one that is down; nobody's address is in the log."""
    silent = Silent()
    url = SecretStr(f"smtp://localhost:{silent.port}?tls=none")
    options = {"smtp_url": url, "mail_from": "no-reply@example.com", "smtp_timeout": 1, "log_level": "warning"}
    house = House(dsn, **options).start()  # type: ignore[arg-type]
    try:
        house.sql("DELETE FROM users")
        house.sql("DELETE FROM rate_counters")
        house.add_user("grace@example.com")
        browser = Browser(house.url)
        page = browser.open("/password/forgot")
        answer = browser.send("/password/forgot", csrf=page.field("csrf"), req="", email="grace@example.com")
        assert "on its way" in answer.text
        assert browser.open("/healthz").status == 200
        house.wait_for(house.world.post.settle(20))
    finally:
        house.stop()
        silent.close()
    said = capfd.readouterr().err
    assert "mail not sent" in said
    assert "grace" not in said


@pytest.mark.parametrize(
    "hostile",
    [
        "ada@example.com\nBcc: eve@example.com",
        "ada@example.com\r\n\r\nhello",
        "",
        "ada",
        "@example.com",
        "ada@\0",
        "ada@.",
    ],
)
def test_no_address_becomes_a_header_of_its_own(hostile: str) -> None:
    with pytest.raises(Undelivered) as refused:
        written(Letter(hostile, None, "Hello", ()), "no-reply@example.com", "https://mcp.example.com", Clock()())
    assert refused.value.final


def test_nothing_in_a_letter_becomes_a_header_or_markup() -> None:
    """Neither an address with signs that headers use, nor a fact with line breaks or tags."""
    letter = Letter(
        "a,b@exämple.com", "xx", "For %(name)s", ("%(name)s & co",), facts={"name": "x\r\nBcc: eve@example.com <b>"}
    )
    message = written(letter, "Gatehouse <no-reply@example.com>", "https://mcp.example.com", Clock()())
    raw = message.as_bytes()
    assert b"\nBcc:" not in raw
    assert str(message["To"]) == '"a,b"@xn--exmple-cua.com'
    assert message["Subject"] == "For x Bcc: eve@example.com <b>"
    page = message.get_body(("html",))
    assert page is not None
    assert "&lt;b&gt; &amp; co" in page.get_content()
    assert "<b>" not in page.get_content()


@pytest.mark.parametrize(
    ("url", "host", "port", "tls"),
    [
        ("smtp://mail.example.com", "mail.example.com", 587, "starttls"),
        ("smtp://u:p@mail.example.com:2525?tls=starttls", "mail.example.com", 2525, "starttls"),
        ("smtps://mail.example.com", "mail.example.com", 465, "implicit"),
        ("smtp://mailpit:1025?tls=none", "mailpit", 1025, "none"),
        ("smtp://u:p@localhost?tls=none", "localhost", 587, "none"),
        ("smtp://[::1]:25?tls=none", "::1", 25, "none"),
    ],
)
def test_the_url_of_a_mail_server(url: str, host: str, port: int, tls: str) -> None:
    server = smtp_server(url)
    assert (server.host, server.port, server.tls) == (host, port, tls)
    assert "p@" not in repr(server)


@pytest.mark.parametrize(
    "url",
    ["mail.example.com", "http://mail.example.com", "smtp://", "smtp://h:99999", "smtp://user@h", "smtp://h/path",
     "smtp://h?tls=maybe", "smtps://h?tls=none", "smtp://user:hunter2@h?tls=none", "smtp://h?x=1", "smtp://[::1"],
)  # fmt: skip
def test_what_is_no_mail_server_is_said_at_start_without_the_password(url: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(**GIVEN, smtp_url=SecretStr(url), mail_from="no-reply@example.com")
    assert str(refused.value).startswith("GATEHOUSE_SMTP_URL ")
    assert "hunter2" not in str(refused.value)


def test_settings_that_cannot_work_are_refused_at_start() -> None:
    assert "GATEHOUSE_MAIL_FROM must be set" in _fault(smtp_url=SecretStr("smtp://h"))
    assert "GATEHOUSE_SIGN_UP cannot be open without mail" in _fault(sign_up="open")
    for sender in ("Gatehouse", "a@b@c", "x\nBcc: e@e <a@b.c>", "a@b.c, d@e.f", "<a@b.c", '"q" <a@b.c>'):
        assert "GATEHOUSE_MAIL_FROM must be an address" in _fault(smtp_url=SecretStr("smtp://h"), mail_from=sender)
    fine = cast(SimpleNamespace, load(**GIVEN, smtp_url=SecretStr("smtp://h"), mail_from="a@b.c", sign_up="open"))
    assert fine.can_mail


def test_what_is_empty_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """As docker compose hands it on."""
    for name in ("SMTP_URL", "MAIL_FROM", "METRICS_TOKEN", "PROVIDERS", "CA_FILE", "LIGHTNING_URL", "SIGN_UP"):
        monkeypatch.setenv(f"GATEHOUSE_{name}", "")
    settings = cast(SimpleNamespace, load(**GIVEN))
    assert not settings.can_mail
    assert (settings.metrics_token, settings.providers, settings.ca_file) == (None, None, None)
    assert settings.sign_up == "closed"


def _fault(**given: object) -> str:
    with pytest.raises(SettingsError) as refused:
        load(**GIVEN, **given)
    return str(refused.value)


def test_the_operator_tries_the_mail(mailing: House, mailboxes: Mailboxes, house: House) -> None:
    assert "took a letter to ada@example.com" in mailing.operator("mail", "test", "Ada@example.com")
    assert "Mail from Gatehouse works" in mailboxes.one(mailing, "ada@example.com").message["Subject"]
    mailboxes.refuse = ["550 5.7.1 relaying denied"] * 2
    assert "relaying denied" in mailing.operator("mail", "test", "ada@example.com", code=1)
    assert "not an e-mail" in mailing.operator("mail", "test", "ada", code=2)
    assert "GATEHOUSE_SMTP_URL is not set" in house.operator("mail", "test", "ada@example.com", code=1)
