"""The request headers that the guard needs, and those that the tools may see, from one walk over them (RFC 9110 §5)."""

from __future__ import annotations

from dataclasses import dataclass, field

from starlette.types import Scope

Header = tuple[bytes, bytes]


@dataclass(slots=True)
class Sorted:
    """Every value of what may come once only; `inner` goes on to the tools, without credentials."""

    hosts: list[bytes] = field(default_factory=list)
    origins: list[bytes] = field(default_factory=list)
    credentials: list[bytes] = field(default_factory=list)
    versions: list[bytes] = field(default_factory=list)
    declared: bytes = b""
    inner: list[Header] = field(default_factory=list)

    def passed_on(self, length: int) -> list[Header]:
        """With the length of what is passed on, and the protocol version once: real clients send `2025-11-25, 2025-11-25`."""
        inner = [*self.inner, (b"content-length", str(length).encode())]
        if self.versions:
            distinct = dict.fromkeys(part.strip() for value in self.versions for part in value.split(b","))
            inner.append((b"mcp-protocol-version", b", ".join(distinct)))
        return inner


def sorted_headers(scope: Scope) -> Sorted:
    """The caller's credentials and cookies stop here."""
    found = Sorted()
    for header in scope["headers"]:
        name, value = header
        if name == b"host":
            found.hosts.append(value)
            found.inner.append(header)
        elif name == b"origin":
            found.origins.append(value)
            found.inner.append(header)
        elif name == b"authorization":
            found.credentials.append(value)
        elif name == b"mcp-protocol-version":
            found.versions.append(value)
        elif name == b"content-length":
            found.declared = value
        elif name not in (b"cookie", b"transfer-encoding"):
            found.inner.append(header)
    return found
