"""Letters by SMTP: in the language of who gets them, after the answer, a few at a time (RFC 5321, RFC 5322, RFC 3834)."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as RULES
from email.utils import format_datetime, make_msgid, parseaddr
from typing import Any
from urllib.parse import urlsplit

import structlog
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from app.language.catalogs import LANGUAGES, _, gettext, ngettext, spoken
from app.paths import TEMPLATES
from app.settings.read import Settings
from app.settings.smtp_url import SmtpServer, smtp_server

WAITING = 200  # letters at most: what does not fit is dropped, and said in the log
AT_ONCE = 4
RETRY_SECONDS = 1.0
SETTLE_SECONDS = 5.0  # how long a process that stops waits for its letters
log = structlog.get_logger("gatehouse.mail")

templates = Environment(
    loader=FileSystemLoader(TEMPLATES / "mail"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    auto_reload=False,
    trim_blocks=True,
    extensions=["jinja2.ext.i18n"],
)
templates.install_gettext_callables(gettext, ngettext, newstyle=True)  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Letter:
    """What is to be said. The words are marked with N_, in them `%(name)s` stands for one of the `facts`.

    Nothing of the facts may be chosen by strangers but addresses: what they write must not travel in our name.
    """

    to: str
    language: str | None
    subject: str
    paragraphs: tuple[str, ...]
    button: str | None = None
    link: str | None = None
    after: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)


class Undelivered(Exception):
    """The server did not take the letter. `why` names no person; the exception's text is the server's, for the operator."""

    def __init__(self, why: str, words: str, *, final: bool) -> None:
        super().__init__(words)
        self.why = why
        self.final = final


Errand = Callable[[], Awaitable[Letter | None]]


class Post:
    """One per process. Letters wait in memory: a process that dies takes them along, and people ask once more."""

    def __init__(self, settings: Settings, now: Callable[[], datetime]) -> None:
        url = settings.smtp_url
        self.server: SmtpServer | None = smtp_server(url.get_secret_value()) if url else None
        self._sender = settings.mail_from or ""
        self._issuer, self._ca_file = settings.issuer, settings.ca_file
        self._seconds = settings.smtp_timeout
        self._now = now
        self._senders = asyncio.Semaphore(AT_ONCE)
        self._waiting: set[asyncio.Task[None]] = set()
        self._tls: ssl.SSLContext | None = None

    def soon(self, errand: Errand) -> None:
        """Runs the errand beside everything else, and sends the letter that comes of it, if one does.

        Looking up whom the letter is for belongs into the errand: then an answer takes as long for a stranger's address.
        """
        if self.server is None:
            return
        if len(self._waiting) >= WAITING:
            log.error("too many letters wait; one was dropped", waiting=WAITING)
            return
        task = asyncio.create_task(self._run(errand))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def settle(self, seconds: float = SETTLE_SECONDS) -> None:
        """Waits until nothing waits, and gives the rest up."""
        tasks = set(self._waiting)
        if tasks:
            _done, late = await asyncio.wait(tasks, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
            for _ in range(3):  # turns of the loop in which their connections are let go of
                await asyncio.sleep(0)

    async def deliver(self, letter: Letter) -> None:
        """Hands the letter to the server, and once more after a moment if that may help. Raises Undelivered."""
        try:
            message = written(letter, self._sender, self._issuer, self._now())
            await self._hand_over(message)
        except Undelivered as fault:
            if fault.final:
                raise
            await asyncio.sleep(RETRY_SECONDS)
            await self._hand_over(message)

    async def _run(self, errand: Errand) -> None:
        try:
            async with self._senders:
                letter = await errand()
                if letter is not None:
                    await self.deliver(letter)
                    log.info("mail sent", subject=letter.subject)
        except Undelivered as fault:
            log.warning("mail not sent", why=fault.why)
        except Exception as fault:
            log.error("a letter was not written", exc_info=fault)

    async def _hand_over(self, message: EmailMessage) -> None:
        """Raises Undelivered."""
        import aiosmtplib  # here, since a process that sends no mail need not have it in memory

        server = self.server
        if server is None:
            raise Undelivered("no server", "GATEHOUSE_SMTP_URL is not set", final=True)
        if self._tls is None and server.tls != "none":
            self._tls = await asyncio.to_thread(_trust, self._ca_file)
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.tls == "implicit",
            start_tls=server.tls == "starttls",
            tls_context=self._tls,
            username=server.user,
            password=server.password,
            local_hostname=urlsplit(self._issuer).hostname,
            timeout=self._seconds,
        )
        try:
            async with asyncio.timeout(self._seconds):
                await client.connect()
                await client.send_message(message)
                with suppress(aiosmtplib.SMTPException):  # it has the letter, whatever becomes of the farewell
                    await client.quit()
        except (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError) as fault:
            raise _undelivered(fault) from fault
        finally:
            client.close()


def written(letter: Letter, sender: str, issuer: str, now: datetime) -> EmailMessage:
    """The letter as it travels: plain text and HTML, no pictures, nothing that tells who read it. Raises Undelivered."""
    spoken.set(letter.language if letter.language in LANGUAGES else "en")
    facts = {name: " ".join(value.split()) for name, value in letter.facts.items()}
    facts["site"] = urlsplit(issuer).netloc
    words = {
        "subject": _(letter.subject) % facts,
        "paragraphs": [_(paragraph) % facts for paragraph in letter.paragraphs],
        "button": _(letter.button) if letter.button else None,
        "after": [_(paragraph) % facts for paragraph in letter.after],
        "link": letter.link,
        "lang": spoken.get(),
        "issuer": issuer,
    }
    message = EmailMessage(policy=RULES)
    try:
        message["To"] = _address(letter.to)
        name, address = parseaddr(sender)
        message["From"] = Address(name, addr_spec=address)
        message["Subject"] = str(words["subject"])
    except ValueError as fault:  # a line break, and whatever else no header holds
        raise Undelivered("an address or a subject that cannot be written", str(fault), final=True) from fault
    message["Date"] = format_datetime(now)
    message["Message-ID"] = make_msgid(domain=address.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834 §5: no answers from holiday notices
    message.set_content(templates.get_template("letter.txt").render(words))
    message.add_alternative(templates.get_template("letter.html").render(words), subtype="html")
    message["Content-Language"] = spoken.get()  # last: what is said of content before moves into the first part
    return message


def _address(email: str) -> Address:
    """Its domain as DNS has it. Raises ValueError."""
    local, _at, domain = email.rpartition("@")
    if not local or not email.isprintable():
        raise ValueError("no address")
    return Address("", local, domain.encode("idna").decode())


def _trust(ca_file: Any) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


def _undelivered(fault: Exception) -> Undelivered:
    """5xx, and what a second attempt cannot change either, is final; all else may be a moment's trouble."""
    codes = re.findall(r"\b([45]\d\d)\b", str(getattr(fault, "code", "")))
    for refused in getattr(fault, "recipients", ()):
        codes.append(str(getattr(refused, "code", "")))
    why = " ".join([type(fault).__name__, *codes])
    final = any(code.startswith("5") for code in codes) or isinstance(fault, ValueError)
    return Undelivered(why, str(fault) or type(fault).__name__, final=final)
