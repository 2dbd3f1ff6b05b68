"""The resources of this server, found by path, by audience and by name (RFC 8707 §2, MCP authorization "Canonical Server URI")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from app.protocol.errors import InvalidTarget
from app.protocol.resource import canonical
from app.protocol.scope import DEFAULT, SCOPES
from app.resources.model import Resource, Rules

NAME, PATH = "gatehouse", "/mcp"


@dataclass(frozen=True, slots=True)
class Resources:
    """Never empty. `default` is meant where a request names none."""

    issuer: str
    by_audience: Mapping[str, Resource]
    default: Resource

    @classmethod
    def of(cls, issuer: str, resources: list[Resource]) -> Resources:
        """The one at /mcp is the default, else the first."""
        default = next((one for one in resources if one.path == PATH), resources[0])
        return cls(issuer, {one.audience: one for one in resources}, default)

    def __iter__(self) -> Iterator[Resource]:
        return iter(self.by_audience.values())

    def at(self, audience: str) -> Resource | None:
        """The one whose tokens have this audience."""
        return self.by_audience.get(audience)

    def named(self, name: str) -> Resource | None:
        return next((one for one in self if one.name == name), None)

    def resolve(self, requested: list[str]) -> Resource:
        """What a request asked for with `resource`: the default also when nothing or only the origin was named.

        Raises InvalidTarget for a foreign one, naming what would be accepted, and for two that differ.
        """
        found = {self._meant(uri).audience for uri in requested}
        if len(found) > 1:
            raise InvalidTarget("a token is for one resource; ask for each by itself")
        return self.by_audience[found.pop()] if found else self.default

    def _meant(self, uri: str) -> Resource:
        plain = canonical(uri)
        found = self.default if plain == self.issuer else self.by_audience.get(plain or "")
        if found is None:
            raise InvalidTarget(f"resource must be {' or '.join(self.by_audience)}")
        return found


def built_in(issuer: str) -> Resource:
    """The tools that come with this program, at /mcp: all that is served without a file."""
    rules = Rules(baseline=frozenset({"read"}))
    return Resource(NAME, PATH, "Gatehouse MCP", f"{issuer}{PATH}", SCOPES, DEFAULT, rules)
