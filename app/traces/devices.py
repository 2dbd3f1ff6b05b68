"""The verdicts on devices that show a code: asked for, typed in elsewhere, decided about, polled for (RFC 8628 §3); pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from app.traces import documents
from app.traces.attempts import Attempt
from app.traces.states import FAILED, Verdict, abandoned, turned_away, waiting
from app.traces.step import Step

CODE_LIVES = timedelta(minutes=10)
ANEW = "Start anew on the device; a code is good for ten minutes."


def asked(attempt: Attempt, step: Step, now: datetime) -> Verdict:
    if step.well:
        return undecided(attempt, step, now)
    if documents.is_unproven(step):
        return documents.unproven(step)
    if step.error == "unauthorized_client":
        return Verdict(
            FAILED,
            f"{_name(step)} asked for a device's code, and did not register for that.",
            "It has to name urn:ietf:params:oauth:grant-type:device_code in the grant_types that it registers. By hand: "
            "gatehouse client add NAME --device",
        )
    return turned_away(step) or Verdict(
        FAILED,
        f"The device was not given a code: {step.description or step.error}.",
        "This is for the maker of the client to mend.",
    )


def page(attempt: Attempt, step: Step, now: datetime) -> Verdict:
    if step.error == "unknown_code":
        return Verdict(
            FAILED,
            "A code was typed in at /device that no device waits for.",
            f"Look at the device's screen again. {ANEW}",
        )
    if not step.well:
        return turned_away(step) or Verdict(FAILED, f"The code's page refused: {step.description}", ANEW)
    return undecided(attempt, step, now)


def decided(attempt: Attempt, step: Step, now: datetime) -> Verdict:
    if step.fact("decision") == "deny" and step.well:
        return _denied()
    if not step.well:
        return turned_away(step) or Verdict(FAILED, f"The decision came to nothing: {step.description}", ANEW)
    if step.fact("decision") != "allow":
        return undecided(attempt, step, now)
    return waiting(attempt, now, whom="the device") or Verdict(
        FAILED,
        "The person allowed the device, and the device did not ask for its token any more.",
        f"It should ask /token every few seconds. Is it switched on, and can it reach this server? {ANEW}",
    )


def undecided(attempt: Attempt, step: Step, now: datetime) -> Verdict:
    """A code is shown, and nobody has pressed Allow or Deny; the device may have asked, and been told to wait."""
    judged = waiting(attempt, now, CODE_LIVES, "the person who is to enter the device's code at /device")
    if judged is not None:
        return judged
    if any(s.fact("entered") for s in attempt.steps):
        return abandoned("The device's code was entered, and neither Allow nor Deny was pressed.", ANEW)
    return abandoned(
        "The device showed a code, and nobody entered it.",
        f"Does the device show the address of /device here, and does that open in another browser? {ANEW}",
    )


def polled(attempt: Attempt, step: Step, now: datetime) -> Verdict | None:
    """For a refused poll at /token; None when it is not for a reason of this grant."""
    if step.not_yet:
        return undecided(attempt, step, now)
    if step.error == "access_denied":
        return _denied()
    if step.error == "expired_token":
        if any(s.fact("entered") for s in attempt.steps):
            return Verdict(FAILED, "The device's code ran out before Allow or Deny was pressed.", ANEW)
        return Verdict(FAILED, "The device's code ran out before anybody entered it.", ANEW)
    if step.error == "invalid_grant":
        return Verdict(FAILED, f"The device was given no token: {step.description}.", ANEW)
    return None


def _denied() -> Verdict:
    return Verdict(FAILED, "The person pressed Deny for the device.", "Start anew on the device, and press Allow.")


def _name(step: Step) -> str:
    return step.client_name or step.client_id or "The device"
