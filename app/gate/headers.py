"""The request headers that the guard needs, and those that the tools may see, from one walk over them (RFC 9110 §5)."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from starlette.types import Scope

from app.asking import traceparent

Header = tuple[bytes, bytes]
STOPPED = frozenset(
    {
        b"authorization",
        b"payment-signature",
        b"proxy-authorization",
        b"dpop",
        b"cookie",
        b"content-length",
        b"transfer-encoding",
        b"mcp-protocol-version",
        b"traceparent",  # theirs; ours goes on
    }
)
WANTED = STOPPED | {b"accept", b"host", b"origin", b"accept-payment", b"idempotency-key"}
# Before servers that are not ours: what is said of the body as it came, and codings of answers, which have to be read.
CODINGS = frozenset({b"content-encoding", b"accept-encoding"})
JSON = b"application/json"
# Whoever says nothing takes anything (RFC 9110 §12.5.1); servers want to hear it (MCP transport).
ANYTHING = (b"accept", b"application/json, text/event-stream")
BLANKS = frozenset({b" ", b"\t"})


class Sorted(NamedTuple):
    """`wanted` has every value of the headers in WANTED; `inner` goes on to the tools, without credentials."""

    wanted: defaultdict[bytes, list[bytes]]
    inner: list[Header]

    def passed_on(self, length: int | None) -> list[Header]:
        """With the length of what is passed on, if anything is, and the protocol version once: real clients send
        `2025-11-25, 2025-11-25`."""
        # The length in front: what is asked for most is found soonest.
        first = [(b"content-length", b"%d" % length)] if length is not None else []
        first.append((b"traceparent", traceparent()))
        if b"accept" not in self.wanted:
            first.append(ANYTHING)
        versions = self.wanted.get(b"mcp-protocol-version")
        if versions:
            version = versions[0]
            if len(versions) > 1 or b"," in version:
                distinct = dict.fromkeys(part.strip() for value in versions for part in value.split(b","))
                version = b", ".join(distinct)
            first.append((b"mcp-protocol-version", version))
        return first + self.inner

    def values(self, name: bytes) -> list[bytes]:
        """Of a header that is passed on."""
        return [value for found, value in self.inner if found == name]


def uncoded(headers: list[Header]) -> list[Header]:
    """Without codings, and without a charset in which another message could be read than the one that was ruled."""
    return [
        (name, value.split(b";")[0].strip().lower()) if name == b"content-type" and value != JSON else (name, value)
        for name, value in headers
        if name not in CODINGS
    ]


def sorted_headers(scope: Scope) -> Sorted:
    """The caller's credentials and cookies stop here."""
    wanted: defaultdict[bytes, list[bytes]] = defaultdict(list)
    inner: list[Header] = []
    for header in scope["headers"]:
        if header[1][-1:] in BLANKS:  # no part of the value (RFC 9110 §5.5), and the parser leaves it there
            header = (header[0], header[1].rstrip(b" \t"))
        name = header[0]
        if name in WANTED:
            wanted[name].append(header[1])
            if name in STOPPED:
                continue
        inner.append(header)
    return Sorted(wanted, inner)
