"""The resources of this server, found by path, by audience and by name (RFC 8707 §2, MCP authorization "Canonical Server URI")."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlsplit

from app.protocol.errors import InvalidTarget
from app.protocol.resource import canonical
from app.protocol.scope import DEFAULT, SCOPES, Scope
from app.resources.model import Resource, Rules
from app.settings.loopback import renamed

NAME, PATH = "gatehouse", "/mcp"


@dataclass(frozen=True, eq=False)  # each reading of the file is one of its own
class Resources:
    """Never empty. `default` is meant where a request names none."""

    issuer: str
    by_audience: Mapping[str, Resource]
    default: Resource

    @cached_property
    def audiences(self) -> Mapping[str, Mapping[str, Scope]]:
        """For whom tokens may be, and with what scopes."""
        return {audience: one.scopes for audience, one in self.by_audience.items()}

    @cached_property
    def words(self) -> Mapping[str, Scope]:
        """What API keys and programs without a person may be given, who ask at no one resource: the scopes of the default
        as they are, those of the others after the resource's name: `github/repo:read`."""
        return {self._word(one, name): scope for one in self for name, scope in one.scopes.items()}

    @cached_property
    def every_scope(self) -> frozenset[str]:
        """Of any resource."""
        return frozenset(name for one in self for name in one.scopes)

    def held(self, resource: Resource, words: Iterable[str]) -> tuple[str, ...]:
        """What such words are worth at this resource."""
        before = self._word(resource, "")
        names = (word.removeprefix(before) for word in words if word.startswith(before))
        return tuple(name for name in names if name in resource.scopes)

    def registered(self, resource: Resource, scope: str | None) -> str:
        """What a client registered, as far as it means this resource: in its own words, or after its name."""
        words = (scope or "").split()
        return " ".join([*(word for word in words if word in resource.scopes), *self.held(resource, words)])

    def _word(self, resource: Resource, scope: str) -> str:
        return scope if resource.audience == self.default.audience else f"{resource.name}/{scope}"

    @classmethod
    def of(cls, issuer: str, resources: list[Resource]) -> Resources:
        """The one at /mcp is the default, else the first."""
        default = next((one for one in resources if one.path == PATH), resources[0])
        return cls(issuer, {one.audience: one for one in resources}, default)

    def __len__(self) -> int:
        return len(self.by_audience)

    def __iter__(self) -> Iterator[Resource]:
        return iter(self.by_audience.values())

    def at(self, audience: str) -> Resource | None:
        """The one whose tokens have this audience."""
        return self.by_audience.get(audience)

    def named(self, requested: list[str]) -> str | None:
        """The audience that a request insists on; None when it names none, or only the origin. Raises as `resolve`."""
        audience = self.resolve(requested).audience
        return None if all(self._plain(uri) == self.issuer for uri in requested) else audience

    def resolve(self, requested: list[str]) -> Resource:
        """What a request asked for with `resource`: the default also when nothing or only the origin was named.

        Raises InvalidTarget for a foreign one, naming what would be accepted, and for two that differ.
        """
        found = {self._meant(uri).audience for uri in requested}
        if len(found) > 1:
            raise InvalidTarget("a token is for one resource; ask for each by itself")
        return self.by_audience[found.pop()] if found else self.default

    def _meant(self, uri: str) -> Resource:
        plain = self._plain(uri)
        found = self.default if plain == self.issuer else self.by_audience.get(plain or "")
        if found is None:
            raise InvalidTarget("resource must be {resource}", resource=" or ".join(self.by_audience))
        return found

    def _plain(self, uri: str) -> str | None:
        """One spelling, also where this computer has several names: its metadata says the one that it was asked by."""
        plain = canonical(uri)
        if plain is None or plain in self.by_audience:
            return plain
        return renamed(plain, urlsplit(self.issuer).netloc)


def built_in(issuer: str) -> Resource:
    """The tools that come with this program, at /mcp: all that is served without a file."""
    rules = Rules(baseline=frozenset({"read"}))
    return Resource(NAME, PATH, "Gatehouse MCP", f"{issuer}{PATH}", SCOPES, DEFAULT, rules)
