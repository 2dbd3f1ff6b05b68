"""The token for the next request: kept, refreshed by one process for all of them, or asked of a person again."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import httpx2

from app.bridge.faults import Denied, Fault, NotSignedIn, Unreachable
from app.bridge.options import Options, Record, Way
from app.bridge.sign_in import Say, signed_in
from app.bridge.token_endpoint import gave_back, refreshed
from app.bridge.vault import Vault
from app.checkup.answer import Challenge
from app.protocol.scope import words_of

GONE = ("invalid_grant", "invalid_client", "unauthorized_client", "invalid_token", "invalid_scope", "invalid_target")
NONE = Challenge({}, frozenset())


class Access:
    """Of one process to one server. `asks`: whether a person may be asked to sign in."""

    def __init__(
        self, options: Options, http: httpx2.AsyncClient, vault: Vault, say: Say, *, asks: bool = True
    ) -> None:
        self._options, self._http, self._vault, self._say = options, http, vault, say
        self._asks = asks or options.way is Way.machine
        self._record: Record | None = None
        self._renewing: asyncio.Task[None] | None = None

    @property
    def is_fixed(self) -> bool:
        """Credentials that came with the command line; there is nothing to renew."""
        return bool(self._options.key_name and self._options.way is not Way.machine) or any(
            name.lower() == "authorization" for name, _ in self._options.headers
        )

    @property
    def record(self) -> Record | None:
        return self._record

    async def token(self) -> str:
        """What to send now; empty when there is nothing yet, and the server has to say what it wants. Raises Fault."""
        if self.is_fixed:
            return self._options.key
        if self._record is None:
            self._record = self._vault.read()
        held = self._record.tokens if self._record is not None else None
        if held is not None and not held.are_fresh(time.time()) and (held.refresh_token or not self._asks):
            await self.renew(held.access_token)
        return self._held()

    async def renew(self, used: str, challenge: Challenge = NONE, *, needed: str = "", afresh: bool = False) -> None:
        """After `used` was refused, or ran out: another token, that reaches `needed`. `afresh`: refreshing did not help.

        What is under way is not broken off when a caller gives up: a refresh token that was sent is spent. Raises Fault.
        """
        if self.is_fixed:
            what = (
                f"the key in {self._options.key_name}" if self._options.key_name else "the Authorization that was given"
            )
            raise NotSignedIn(f"{self._options.url} does not accept {what}" + (f" for {needed}" if needed else ""))
        joined = self._renewing is not None
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renewed(used, challenge, needed, afresh))
            self._renewing.add_done_callback(self._is_renewed)
        await asyncio.shield(self._renewing)
        if joined and (self._held() == used or not self._reaches(self._record, needed)):
            await self.renew(used, challenge, needed=needed, afresh=afresh)

    async def gave_up(self) -> bool:
        """Revokes and forgets what is kept (RFC 7009), but not who we are there. False: nothing was kept.

        Raises Fault when they could only be forgotten, Unreachable when not even that.
        """
        async with self._vault.turn(self._say):
            record = self._vault.read()
            if record is None or record.tokens is None:
                return False
            try:
                await gave_back(self._http, record, record.tokens)
            except Unreachable:
                raise  # what is still good is kept, so that it can be given back later
            except Fault:
                self._vault.write(replace(record, tokens=None))
                raise
            self._vault.write(replace(record, tokens=None))
        return True

    async def begin(self, challenge: Challenge) -> None:
        """Signs in whatever is kept."""
        async with self._vault.turn(self._say):
            await self._signed_in(challenge, self._vault.read(), "")

    def _held(self) -> str:
        return self._record.tokens.access_token if self._record is not None and self._record.tokens else ""

    def _is_renewed(self, task: asyncio.Task[None]) -> None:
        self._renewing = None
        if not task.cancelled():
            task.exception()  # whoever waited has it

    async def _renewed(self, used: str, challenge: Challenge, needed: str, afresh: bool) -> None:
        async with self._vault.turn(self._say):
            record = self._vault.read()
            held = record.tokens if record is not None else None
            if held is not None and held.access_token != used and self._reaches(record, needed):
                self._record = record  # somebody else was first
                return
            if record is not None and held is not None and held.refresh_token and not needed and not afresh:
                try:
                    self._record = replace(record, tokens=await refreshed(self._http, record, held))
                    self._vault.write(self._record)
                    return
                except Denied as fault:
                    if fault.word not in GONE:
                        raise
            await self._signed_in(challenge, record, needed)

    async def _signed_in(self, challenge: Challenge, record: Record | None, needed: str) -> None:
        if not self._asks:
            raise NotSignedIn(f"you are not signed in to {self._options.url}; run gatehouse login {self._options.url}")
        self._record = await signed_in(self._http, self._options, challenge, record, needed, self._say)
        self._vault.write(self._record)

    def _reaches(self, record: Record | None, needed: str) -> bool:
        """Whether this was asked for already; what the server made of it is its business."""
        held = record.tokens.scope if record is not None and record.tokens else ""
        return not needed or (record is not None and set(words_of(needed)) <= set(words_of(f"{held} {record.asked}")))
