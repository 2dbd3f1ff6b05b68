"""Everything one visit brought home; the checks read it and ask nothing more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from app.checkup.answer import Answer, Challenge, challenge, texts
from app.checkup.findings import Stop, failed, skipped
from app.checkup.knock import Knock, is_public
from app.checkup.target import Target, is_web

RESOURCE_DOCUMENTS = ("resource at path", "resource of header", "resource at root")
SERVER_DOCUMENTS = ("server metadata", "openid")


@dataclass(frozen=True, slots=True)
class Visit:
    """`answers` by purpose, `not_asked` why a purpose has none, `milliseconds` of repeated requests."""

    target: Target
    now: datetime
    browser: str  # the Origin that a page in a browser would have
    addresses: tuple[str, ...] = ()
    no_addresses: str = ""
    knocks: tuple[Knock, ...] = ()
    unreachable: str = ""
    answers: Mapping[str, Answer] = field(default_factory=dict)
    not_asked: Mapping[str, str] = field(default_factory=dict)
    milliseconds: tuple[float, ...] = ()

    def main(self, purpose: str) -> Answer:
        """The answer that a check is about: that there is none fails it."""
        answer = self._asked(purpose)
        if answer.fault:
            raise Stop(
                failed(f"{answer.method} {answer.url} {answer.fault}", "Let the server answer this promptly and whole.")
            )
        return answer

    def other(self, purpose: str) -> Answer:
        """An answer that another check is about."""
        answer = self._asked(purpose)
        if answer.fault:
            raise Stop(skipped(f"{answer.method} {answer.url} {answer.fault}"))
        return answer

    def _asked(self, purpose: str) -> Answer:
        if purpose not in self.answers:
            raise Stop(skipped(self.unreachable or self.not_asked.get(purpose) or "there was nothing to ask"))
        return self.answers[purpose]

    def readable(self, purposes: tuple[str, ...]) -> tuple[Answer, dict[str, Any]] | None:
        """The first of these answers that is a JSON object with status 200."""
        for purpose in purposes:
            answer = self.answers.get(purpose)
            document = answer.document if answer else None
            if answer and document is not None:
                return answer, document
        return None

    @property
    def documents(self) -> list[tuple[Answer, dict[str, Any]]]:
        """Every metadata document, each address once."""
        found = [self.readable((purpose,)) for purpose in (*RESOURCE_DOCUMENTS, *SERVER_DOCUMENTS)]
        return list({pair[0].url: pair for pair in found if pair}.values())

    def resource(self) -> dict[str, Any]:
        """The resource metadata. Raises Stop without any."""
        found = self.readable(RESOURCE_DOCUMENTS)
        if found is None:
            raise Stop(skipped(self.unreachable or "there are no resource metadata to read"))
        return found[1]

    def server(self) -> dict[str, Any]:
        """The metadata of the authorization server. Raises Stop without any."""
        found = self.readable(SERVER_DOCUMENTS)
        if found is None:
            raise Stop(skipped(self.unreachable or "there are no authorization server metadata to read"))
        return found[1]

    def endpoint(self, name: str) -> str:
        """An address that the authorization server's metadata name, or an empty string."""
        found = self.readable(SERVER_DOCUMENTS)
        value = found[1].get(name) if found else None
        return str(value) if is_web(value) else ""

    @property
    def issuer(self) -> str:
        """As the resource metadata name it; without them the origin, as clients of 2025-03-26 assume."""
        found = self.readable(RESOURCE_DOCUMENTS)
        named = [url for url in texts(found[1], "authorization_servers") if is_web(url)] if found else []
        return named[0] if named else self.target.origin

    @property
    def challenge(self) -> Challenge | None:
        post = self.answers.get("post")
        return challenge(post) if post and post.status == 401 else None

    @property
    def is_public(self) -> bool:
        return any(is_public(address) for address in self.addresses)


def origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
