"""What to do when a grant without a browser gave no token: of programs, and of identity providers' assertions; pure."""

from __future__ import annotations

from app.protocol.client_metadata import CLIENT_CREDENTIALS
from app.protocol.metadata import JWT_BEARER
from app.traces.step import Step

# Grant type, words of the refusal, what to do; the first that fits.
AWAY = "cannot be had"  # said with 503; all the others with 400
CURES = (
    (
        CLIENT_CREDENTIALS,
        "did not register",
        "Only the operator makes a client for this grant: gatehouse client add NAME --client-credentials --user EMAIL",
    ),
    (
        CLIENT_CREDENTIALS,
        "disabled",
        "Enable the account (gatehouse user enable), or make a client in another's name.",
    ),
    (
        CLIENT_CREDENTIALS,
        "",
        "Compare with what it was made for: gatehouse client show CLIENT_ID",
    ),
    (
        JWT_BEARER,
        "did not register",
        "Make a client for it: gatehouse client add NAME --id-jag",
    ),
    (
        JWT_BEARER,
        "does not trust",
        "If you do, add the issuer to GATEHOUSE_TRUSTED_ISSUERS, byte for byte as the provider writes it.",
    ),
    (
        JWT_BEARER,
        AWAY,
        "Is the provider up, can this server reach it, and is its certificate good (GATEHOUSE_CA_FILE)? The assertion was not used up.",
    ),
    (
        JWT_BEARER,
        "about somebody",
        "Compare gatehouse user list and gatehouse identity list; gatehouse identity add says whom a subject means.",
    ),
    (
        JWT_BEARER,
        "",
        "This is for the administrators of the identity provider to mend, or the client's maker: docs/machine-clients.md says "
        "what must be in an assertion.",
    ),
)


def cure(step: Step, why: str) -> str | None:
    """None when the step is of another grant, or the fault is the server's."""
    for grant_type, words, what_to_do in CURES:
        fits = step.fact("grant_type") == grant_type and words in why
        if fits and (step.status == 400 or words == AWAY):
            return what_to_do
    return None
