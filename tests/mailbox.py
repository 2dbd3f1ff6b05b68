"""A real SMTP server on loopback, and the mailboxes behind it; and one that misbehaves."""

from __future__ import annotations

import re
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from bench.servers import free_port
from tests.conftest import House

LINK = re.compile(r"https?://\S+")


@dataclass(frozen=True)
class Delivered:
    """A letter as it arrived, and how."""

    sender: str
    to: list[str]
    message: EmailMessage
    over_tls: bool
    user: str | None

    def part(self, kind: str) -> str:
        found = self.message.get_body((kind,))
        assert found is not None
        text: str = found.get_content()
        return text

    @property
    def text(self) -> str:
        return self.part("plain")

    @property
    def link(self) -> str:
        """The one link in it that does something."""
        found = [line for line in self.text.splitlines() if LINK.fullmatch(line)]
        assert len(found) == 1, self.text
        return found[0]


class Mailboxes:
    """Takes what it is given. `refuse` are answers to RCPT, each given once."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, implicit: bool = False, auth: bool = False) -> None:
        self.letters: list[Delivered] = []
        self.refuse: list[str] = []
        options: dict[str, Any] = {"ssl_context": tls} if implicit else {"tls_context": tls}
        if tls is not None and not implicit:
            options["require_starttls"] = True
        if auth:
            options |= {
                "authenticator": self._known,
                "auth_required": True,
                "auth_require_tls": not implicit and bool(tls),
            }
        self._controller = Controller(self, hostname="127.0.0.1", port=free_port(), **options)
        self._controller.start()
        self.port: int = self._controller.port

    def close(self) -> None:
        self._controller.stop()

    def _known(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"post man", b"s3cret@/:")
        return AuthResult(success=right, handled=False, auth_data="post man")

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.refuse:
            return self.refuse.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        user = str(session.auth_data) if session.auth_data else None
        over_tls = session.ssl is not None
        self.letters.append(Delivered(str(envelope.mail_from), list(envelope.rcpt_tos), message, over_tls, user))
        return "250 OK"

    def sent(self, house: House) -> list[Delivered]:
        """What has arrived since, once the server has nothing left to send."""
        house.wait_for(house.world.post.settle(20))
        arrived = list(self.letters)
        self.letters.clear()
        return arrived

    def one(self, house: House, to: str) -> Delivered:
        """The only letter that has arrived, which went to this address."""
        arrived = self.sent(house)
        assert [letter.to for letter in arrived] == [[to]], [(letter.to, letter.text) for letter in arrived]
        return arrived[0]


class Silent:
    """Connections are made, and nobody ever says a word."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port = int(self._listener.getsockname()[1])

    def taken(self) -> int:
        """How many connections were made since."""
        count = 0
        with suppress(BlockingIOError):
            while True:
                self._listener.accept()[0].close()
                count += 1
        return count

    def close(self) -> None:
        self._listener.close()
