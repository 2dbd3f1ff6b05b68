"""What can go wrong with a service elsewhere, apart from one another: it is away, it refuses, it cannot be believed (RFC 6749 §5.2)."""

from __future__ import annotations


def shown(text: str) -> str:
    """Without signs that a page, a log or a database could not have: strangers write these words."""
    return "".join(sign for sign in text if sign.isprintable())


class UpstreamFault(Exception):
    """`why` is for the operator's records, in English, with nothing secret in it."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = shown(why)


class Away(UpstreamFault):
    """It cannot be reached, or what it answers is no answer. Nothing is known of the grant."""


class Refused(UpstreamFault):
    """Its own word of refusal. `error` is in the vocabulary of RFC 6749 §5.2, whatever it called it."""

    def __init__(self, error: str, why: str = "") -> None:
        super().__init__(f"{error}: {why}" if why else error)
        self.error = shown(error)


class Untrusted(UpstreamFault):
    """It answered, and what it says of the person does not hold."""
