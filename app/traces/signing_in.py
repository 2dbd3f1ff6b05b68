"""The verdict on a sign-in: the page, the password, the second step (pure)."""

from __future__ import annotations

from datetime import datetime

from app.traces.attempts import GAP, Attempt
from app.traces.states import FAILED, Verdict, abandoned, turned_away, waiting
from app.traces.step import Step

MISTYPED = {"wrong_password", "wrong_code", "passkey_refused"}  # and tried again on the same page


def sign_in(attempt: Attempt, step: Step, now: datetime) -> Verdict:
    wrong = sum(1 for s in attempt.steps if s.what == "sign-in" and s.error == "wrong_password")
    if step.status == 429 and wrong:
        return Verdict(
            FAILED,
            f"Too many wrong passwords ({wrong}).",
            "Wait five minutes, or run: gatehouse user reset-password E-MAIL",
        )
    if step.facts.get("signed_in"):
        return waiting(attempt, now) or abandoned(
            "The person signed in and did not go on.", "Was the browser closed? Connect once more in the client."
        )
    if step.path == "/login/second" and step.status in (200, 400):
        lost = "Has the person lost their phone, and the recovery codes too? Run: gatehouse user reset-factors E-MAIL"
        half = abandoned("The password was right, and the second step was not taken.", lost)
        return waiting(attempt, now, GAP, "the person at the second step") or half
    if not step.well and step.error not in MISTYPED:
        return turned_away(step) or Verdict(FAILED, f"The sign-in was refused: {step.description}.", again(step))
    times = f"{wrong} time{'s' if wrong > 1 else ''}"
    tried = f"a wrong e-mail or password was given {times}" if wrong else "nobody signed in"
    return waiting(attempt, now, GAP, "the person at the sign-in page") or abandoned(
        f"The sign-in page was shown, and {tried}.",
        "Have they an account (gatehouse user list)? A new password: gatehouse user reset-password E-MAIL",
    )


def again(step: Step) -> str:
    if "request_uri" in (step.description or ""):
        return "Start again from the app: a pushed request is good for 90 seconds, for one app, and for one code."
    if step.path not in ("/authorize", "/par"):
        return "Start again from the app; the sign-in is good for half an hour, in one browser."
    return "This is for the maker of the client to mend; try a newer version of it."
