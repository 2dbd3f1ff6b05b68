"""What the letters say. Nothing that a stranger wrote is in them but addresses, and no more than one link."""

from __future__ import annotations

from datetime import datetime

from app.language.catalogs import N_
from app.mail import Letter
from app.settings.read import Settings
from app.users.store import User

NOT_YOU = N_("If this was not you, leave it: without the link nothing happens, and nobody else can use it.")
NOTICES = {
    "password.changed": (
        N_("Your password was changed"),
        N_("The password of your account at %(site)s was changed on %(when)s. Every other browser was signed out."),
    ),
    "passkey.added": (
        N_("A passkey was added"),
        N_("A passkey was added to your account at %(site)s on %(when)s. Whoever has it can sign in."),
    ),
    "passkey.removed": (
        N_("A passkey was removed"),
        N_("A passkey was removed from your account at %(site)s on %(when)s."),
    ),
    "totp.added": (
        N_("Codes from your phone are asked for"),
        N_("Since %(when)s your account at %(site)s asks for a code from your phone besides the password."),
    ),
    "totp.removed": (
        N_("Codes from your phone are not asked for any more"),
        N_("Since %(when)s your account at %(site)s asks for no code from your phone any more."),
    ),
    "identity.added": (
        N_("Another way to sign in was linked"),
        N_("An account elsewhere was linked to your account at %(site)s on %(when)s. Whoever has it can sign in."),
    ),
    "identity.removed": (
        N_("A way to sign in was unlinked"),
        N_(
            "An account elsewhere was unlinked from your account at %(site)s on %(when)s. Nobody signs in with it any more."
        ),
    ),
    "recovery_code.used": (
        N_("A recovery code was used"),
        N_("One of the recovery codes of your account at %(site)s was used on %(when)s to sign in without your phone."),
    ),
    "recovery_codes.made": (
        N_("New recovery codes were made"),
        N_("New recovery codes were made for your account at %(site)s on %(when)s. The old ones do not work any more."),
    ),
}


def reset(user: User, link: str, language: str) -> Letter:
    return Letter(
        to=user.email,
        language=user.language or language,
        subject=N_("Choose a new password"),
        paragraphs=(
            N_("Somebody, probably you, asked for a new password for your account at %(site)s."),
            N_("With this link you choose one. It works once, within an hour."),
        ),
        button=N_("Choose a new password"),
        link=link,
        after=(NOT_YOU,),
    )


def sign_in(user: User, link: str, language: str) -> Letter:
    return Letter(
        to=user.email,
        language=user.language or language,
        subject=N_("Your link to sign in"),
        paragraphs=(
            N_("This link signs you in at %(site)s. It works once, within 15 minutes."),
            N_("Open it in the browser where you asked for it, and use it only if it was you who asked."),
        ),
        button=N_("Sign in"),
        link=link,
        after=(NOT_YOU,),
    )


def verify(email: str, link: str, language: str) -> Letter:
    return Letter(
        to=email,
        language=language,
        subject=N_("Finish your account"),
        paragraphs=(
            N_("Somebody, probably you, wants an account at %(site)s with this address."),
            N_("With this link you finish it. It works once, within a day."),
        ),
        button=N_("Finish the account"),
        link=link,
        after=(NOT_YOU,),
    )


def has_account(user: User, settings: Settings, language: str) -> Letter:
    """To somebody whose address was given for a new account, or for another one."""
    return Letter(
        to=user.email,
        language=user.language or language,
        subject=N_("You have an account already"),
        paragraphs=(
            N_("Somebody, perhaps you, wanted to use this address for an account at %(site)s. It has one already."),
            N_("Just sign in. If you do not remember the password, choose a new one."),
        ),
        button=N_("Choose a new password"),
        link=f"{settings.issuer}/password/forgot",
        after=(N_("If this was not you, there is nothing to do."),),
    )


def invitation(email: str, link: str, language: str, *, has_own_ways: bool) -> Letter:
    """Else people come by a service, where they choose no password."""
    return Letter(
        to=email,
        language=language,
        subject=N_("You are invited"),
        paragraphs=(
            N_("The people who run %(site)s invite you to make an account there."),
            N_("With this link you choose a name and a password. It works once, within a week.")
            if has_own_ways
            else N_("Sign in within a week with a service that knows you by this address: your account is made then."),
        ),
        button=N_("Accept the invitation"),
        link=link,
        after=(N_("If you do not know what this is about, leave it: without the link nothing happens."),),
    )


def new_address(email: str, link: str, language: str) -> Letter:
    return Letter(
        to=email,
        language=language,
        subject=N_("Confirm your new address"),
        paragraphs=(
            N_("Somebody, probably you, wants to use this address for their account at %(site)s."),
            N_("With this link you confirm it, in the browser where you are signed in. It works once, within a day."),
        ),
        button=N_("Confirm the address"),
        link=link,
        after=(NOT_YOU,),
    )


def notice(user: User, what: str, settings: Settings, now: datetime, **facts: str) -> Letter:
    """That something about the security of the account changed; `what` is one of NOTICES."""
    subject, sentence = NOTICES[what]
    return Letter(
        to=user.email,
        language=user.language,
        subject=subject,
        paragraphs=(sentence, N_("If it was you, there is nothing to do.")),
        button=N_("Choose a new password"),
        link=f"{settings.issuer}/password/forgot",
        after=(N_("If it was not you, choose a new password now, and tell the people who run this server."),),
        facts={"when": f"{now:%Y-%m-%d %H:%M} UTC", **facts},
    )


def goodbye(user: User, old: str, now: datetime) -> Letter:
    """To the address that the account had before."""
    return Letter(
        to=old,
        language=user.language,
        subject=N_("Your e-mail address was changed"),
        paragraphs=(
            N_("The e-mail address of your account at %(site)s was changed from %(old)s to %(new)s on %(when)s."),
            N_("If it was you, there is nothing to do."),
        ),
        after=(N_("If it was not you, tell the people who run this server at once."),),
        facts={"when": f"{now:%Y-%m-%d %H:%M} UTC", "old": old, "new": user.email},
    )


def trial(to: str) -> Letter:
    return Letter(
        to=to,
        language=None,
        subject=N_("Mail from Gatehouse works"),
        paragraphs=(N_("This is a trial letter of %(site)s. There is nothing to do."),),
    )
