"""Which steps belong to one attempt to connect: read from what they share, at the time of reading; pure.

What joins them, strongest first: the keyed hash of the PKCE challenge, of the code or of a device's codes; the connection;
the client id, for the first authorization after it was registered; the caller's address and program, for the steps that
have no name yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.traces.step import BROWSER, Step

GAP = timedelta(minutes=30)  # as long as a sign-in may take (protocol/pending.py)
NEAR = timedelta(minutes=2)
AT_ONCE = timedelta(seconds=10)  # how fast a program goes from one address of its discovery to the next
Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Attempt:
    """The steps of one client's one try, in order; its id is the request id of the first."""

    steps: tuple[Step, ...]

    @property
    def id(self) -> str:
        return self.steps[0].request_id

    @property
    def started_at(self) -> datetime:
        return self.steps[0].at

    @property
    def ended_at(self) -> datetime:
        return self.steps[-1].at

    def last(self, name: str) -> str | None:
        """The last that any step says of `client_id`, `client_name`, `user_id` or `connection_id`."""
        found = [value for step in self.steps if (value := getattr(step, name))]
        return str(found[-1]) if found else None

    def last_fact(self, name: str) -> str | None:
        found = [value for step in self.steps if (value := step.fact(name))]
        return found[-1] if found else None


@dataclass(slots=True)
class Growing:
    """An attempt while its steps are sorted in."""

    steps: list[Step] = field(default_factory=list)
    client_ids: set[str] = field(default_factory=set)
    places: set[Key] = field(default_factory=set)
    flowing: bool = False  # an authorization is under way, or was
    settled: bool = False  # something came of it, good or bad
    awaits_call: bool = False  # tokens were the last thing that it got
    into: Growing | None = None  # what it turned out to be the beginning of

    def add(self, step: Step) -> None:
        self.steps.append(step)
        if step.client_id:
            self.client_ids.add(step.client_id)
        self.places.add(_place(step))
        self.flowing = self.flowing or bool(step.links or step.connection_id)
        if step.what != "discovery" and not step.tokenless:
            self.settled = step.what == "mcp" or not (step.well or step.not_yet)
            self.awaits_call = step.issued

    def takes(self, step: Step) -> bool:
        """Whether a step that has no name of its own may be a part of this."""
        fresh = step.tokenless or step.at - self.steps[-1].at > NEAR
        return not (self.settled and fresh)

    @property
    def ended_at(self) -> datetime:
        return self.steps[-1].at

    def has_just_begun(self, now: datetime) -> bool:
        """A program looks around, and has not yet said which client it is."""
        return now - self.ended_at <= AT_ONCE and not self.flowing and not self.settled

    def may_be(self, client_id: str | None) -> bool:
        return not self.client_ids or client_id in self.client_ids


def attempts(steps: Iterable[Step]) -> list[Attempt]:
    """The attempts, by the time of their last step, the oldest first. Steps that are no part of connecting are left out."""
    sorting = _Sorting()
    for step in sorted(steps, key=lambda step: (step.at, step.id)):
        if step.what != "other":
            sorting.sort_in(step)
    found = [Attempt(tuple(sorted(one.steps, key=lambda s: (s.at, s.id)))) for one in sorting.all if one.into is None]
    return sorted(found, key=lambda attempt: (attempt.ended_at, attempt.id))


class _Sorting:
    """For each thing that steps may share, the attempt in which it was seen last."""

    def __init__(self) -> None:
        self.all: list[Growing] = []
        self._seen: dict[Key, Growing] = {}

    def sort_in(self, step: Step) -> None:
        home = self._home(step)
        if home is None:
            home = Growing()
            self.all.append(home)
        elif step.links and step.what not in BROWSER:
            self._claim_beginning(home, step)
        home.add(step)
        for key in _keys(step):
            self._seen[key] = home

    def _open(self, key: Key, step: Step) -> Growing | None:
        found = self._seen.get(key)
        while found is not None and found.into is not None:
            found = found.into
        return found if found is not None and step.at - found.steps[-1].at <= GAP else None

    def _home(self, step: Step) -> Growing | None:
        for key in _certain(step):
            found = self._open(key, step)
            if found is not None:
                return found
        if step.links or step.connection_id:
            return self._beginning(step)
        if step.what == "registration":
            found = self._open(_place(step), step)
            return found if found is not None and not found.flowing else None
        if step.client_id:
            return self._of_client(step)
        return self._nameless(step)

    def _beginning(self, step: Step) -> Growing | None:
        """For a new authorization or an unknown connection: what came before it and led nowhere yet."""
        if step.what.startswith("device "):  # the device itself asked first: a code that nobody knows begins nothing
            return None
        for key in _likely(step):
            found = self._open(key, step)
            if found is not None and not found.flowing and found.may_be(step.client_id):
                return found
        return self._lonely(step) if step.what in BROWSER else None

    def _lonely(self, step: Step) -> Growing | None:
        """Hosted apps look around from a server and sign in from a browser: the only one that did so just now."""
        found = [one for one in self._recent(step) if not one.flowing and not one.client_ids and not one.settled]
        return found[0] if len(found) == 1 else None

    def _recent(self, step: Step) -> Iterator[Growing]:
        for one in reversed(self.all[-100:]):
            if one.into is None and step.at - one.steps[-1].at <= NEAR:
                yield one

    def _of_client(self, step: Step) -> Growing | None:
        for key in _likely(step):
            found = self._open(key, step)
            if found is not None and found.may_be(step.client_id):
                return found
        return None

    def _nameless(self, step: Step) -> Growing | None:
        found = self._open(_place(step), step)
        if found is not None and step.refused_key and (found.flowing or found.client_ids):
            return None
        latest = self._open(("address", step.address), step)
        begun = latest if latest is not None and latest.has_just_begun(step.at) else None
        if found is not None and not (found.settled and begun and step.what == "discovery"):
            return found if found.takes(step) else None
        if latest is not None and latest.awaits_call and step.what == "mcp" and step.at - latest.ended_at <= NEAR:
            return latest
        return begun

    def _claim_beginning(self, home: Growing, step: Step) -> None:
        """The code is redeemed from where the discovery came that nobody knew whose it was."""
        if _place(step) in home.places:
            return
        found = self._open(_place(step), step)
        if found is None or found is home or found.flowing or found.client_ids or found.settled:
            return
        found.into = home
        home.steps = [*found.steps, *home.steps]
        home.places |= found.places


def _place(step: Step) -> Key:
    return ("place", step.address, step.user_agent)


def _certain(step: Step) -> list[Key]:
    keys: list[Key] = [("link", link) for link in step.links]
    return [*keys, ("connection", step.connection_id)] if step.connection_id else keys


def _likely(step: Step) -> list[Key]:
    """Where a step with a client id, but nothing certain, may belong: the likeliest first."""
    place = _place(step)
    named: list[Key] = [("client at", step.client_id, *place), ("client", step.client_id)] if step.client_id else []
    # One client id may be that of all installations: an unknown connection is found by where it comes from only.
    return [place] if step.connection_id else [*named, place]


def _keys(step: Step) -> list[Key]:
    place = _place(step)
    keys = [*_certain(step), place, ("address", step.address)]
    return [*keys, ("client at", step.client_id, *place), ("client", step.client_id)] if step.client_id else keys
