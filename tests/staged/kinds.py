"""What is raced for, a line for each kind: how often, what both are answered, and what the database must say of it."""

from __future__ import annotations

from tests.staged.proofs import (
    Prepared,
    Race,
    charges,
    codes,
    devices,
    invitations,
    links,
    payments,
    refreshes,
    revocations,
    work,
)
from tests.staged.signed import assertions, dpop_proofs

# How many parts of the whole each is: what costs the servers five times as much is raced for less often.
KINDS: dict[Prepared, int] = {
    codes: 4,
    devices: 6,
    refreshes: 8,
    revocations: 2,
    links: 2,
    charges: 8,
    work: 8,
    payments: 2,
    dpop_proofs: 5,
    assertions: 4,
    invitations: 1,
}
BOTH = {  # in order
    "code": [200, 400],
    "device": [200, 400],
    "refresh": [200, 200],
    "revoke": [200, 200],
    "link": [303, 410],
    "charge": [200, 200],
    "work": [200, 400],
    "payment": [200, 409],
    "proof": [200, 400],
    "assertion": [200, 401],
    "invitation": [303, 410],
}
LOST = {"proof": b"the DPoP proof was used before", "assertion": b"client_assertion was used before"}  # not for less


def fault(race: Race, answers: list[tuple[int, bytes]]) -> str | None:
    """What was answered that may not be."""
    if sorted(status for status, _ in answers) != BOTH[race.kind]:
        return f"{race.kind}: {answers}"
    if race.kind == "refresh":
        successors = {body.partition(b'"refresh_token":"')[2].split(b'"')[0] for _, body in answers}
        return None if len(successors) == 1 else f"two successors: {answers}"
    if race.kind == "charge":
        return None if answers[0] == answers[1] and b'"ok"' in answers[0][1] else f"not the same charge: {answers}"
    if race.kind in LOST and LOST[race.kind] not in max(answers)[1]:
        return f"refused for something else: {answers}"
    return None


# What the database must say of so many of each kind: each won once.
CAME_OF_IT = {
    "SELECT count(*) FROM connections": ("code", "device", "refresh", "revoke", "proof"),
    "SELECT count(*) FROM connections WHERE refresh_counter = 1": ("refresh", "proof"),
    "SELECT count(*) FROM connections WHERE refresh_counter > 1": (),
    # Those of codes are ended by the second who came.
    "SELECT count(*) FROM connections WHERE revoked_at IS NOT NULL": ("code", "revoke"),
    "SELECT count(*) FROM browser_sessions": ("link", "invitation"),
    "SELECT count(*) FROM one_time_links WHERE used_at IS NOT NULL": ("link",),
    "SELECT count(*) FROM charges WHERE sats = 1 AND state = 'charged'": ("charge",),
    "SELECT coalesce(sum(day_sats), 0) FROM budgets": ("charge",),
    "SELECT coalesce(sum(day_calls), 0) FROM budgets": ("charge",),
    "SELECT count(*) FROM agent_sessions WHERE kind = 'pow'": ("work",),
    "SELECT count(*) FROM agent_sessions WHERE kind = 'lightning'": ("payment",),
    "SELECT count(*) FROM payments WHERE claimed_by = 'session ' || id": ("payment",),
    "SELECT coalesce(sum(funded_sats), 0) / 50 FROM budgets": ("payment",),
    "SELECT count(*) FROM budgets WHERE kind = 'agent'": ("work", "payment"),
    "SELECT count(*) FROM used_once": ("proof", "assertion"),
    "SELECT count(*) FROM device_codes WHERE user_id IS NULL": ("assertion",),
    "SELECT count(*) FROM users WHERE email LIKE 'guest%'": ("invitation",),
    "SELECT count(*) FROM audit_events WHERE event = 'invitation.accepted'": ("invitation",),
    "SELECT count(*) FROM invitations": (),
}
