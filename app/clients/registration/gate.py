"""Work before a registration, where the operator switched it on (GATEHOUSE_REGISTER_WORK): the same challenge as agents get.

Who comes without a solution is told the challenge with the refusal, and sends the same metadata again with a further member,
`proof_of_work`; RFC 7591 §2 lets servers ignore members that they do not know, so it can stay there for others.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from app.protocol.agent_errors import InvalidWork, WorkNeeded
from app.replay import first_use
from app.work import brought
from app.work.challenge import SECONDS, Wanted, check, new_challenge
from app.world import World

MEMBER = "proof_of_work"
KEY = "gatehouse-registration-nobodys"  # in a project's place: as long as one of their keys


async def passed(metadata: object, world: World, now: datetime) -> object:
    """The metadata without the work. Raises WorkNeeded with a challenge, and InvalidRequest for what is no solution."""
    bits = world.settings.register_work
    if not bits:
        return metadata
    wanted = Wanted("register", world.settings.issuer, KEY)
    given: Any = metadata.get(MEMBER) if isinstance(metadata, dict) else None
    why = "registering here costs a moment of work; send the same again with proof_of_work"
    if isinstance(given, dict):
        solution = brought.solution(given, brought.quote_id(given.get("quoteId")))
        try:
            check(solution, wanted, world.secrets.work, now)
            ends = datetime.fromtimestamp(solution.challenge.expires_at, UTC)
            once = {"made_at": ends - timedelta(seconds=SECONDS), "epoch": world.epoch}
            if await first_use(world.pool, "work", "register", solution.challenge.quote_id, now, ends, **once):
                assert isinstance(metadata, dict)
                return {name: value for name, value in metadata.items() if name != MEMBER}
            why = "this work was used before"
        except InvalidWork as fault:
            why = fault.description
    challenge = new_challenge(wanted, bits, world.secrets.work, now)
    raise WorkNeeded(why, {"quoteId": challenge.quote_id, **challenge.document("registration", KEY)})
