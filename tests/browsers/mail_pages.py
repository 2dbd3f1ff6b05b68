"""The pages of a server that sends mail, and where anybody may sign up. `pages.py` has all the others, and these."""

from __future__ import annotations

from app.users.invitations.invite import invite, send
from tests.browsers.people import ADA, Bring, Person, Place

NEW, GUESSED = "grace@example.com", "passwordpassword1"


def asked(path: str, email: str = ADA) -> Bring:
    """Where a link is asked for, and on its way."""

    def bring(person: Person) -> None:
        person.house.add_user()
        person.opens(path).sends(path, email=email)

    return bring


def opened(path: str, email: str = ADA) -> Bring:
    """The link that came."""

    def bring(person: Person) -> None:
        asked(path, email)(person)
        person.opens(person.letter(email))

    return bring


def sign_up_refused(person: Person) -> None:
    opened("/sign-up", NEW)(person)
    person.sends("/sign-up/verify", name="Grace", password=GUESSED)


def invitation(person: Person) -> None:
    world = person.house.world

    async def invited() -> None:
        send(world, await invite(world, NEW))

    person.house.wait_for(invited())
    person.opens(person.letter(NEW))


def invited(email: str, *, by_link: bool = False) -> Bring:
    """As an admin does it."""

    def bring(person: Person) -> None:
        person.is_signed_in(admin=True).opens("/admin/invitations")
        if by_link:
            person.page.locator("main [name=by]").check()
        person.sends("/admin/invitations/add", email=email)

    return bring


def another_address(person: Person) -> None:
    person.is_signed_in().opens("/account/email")


def another_address_refused(person: Person) -> None:
    another_address(person)
    person.sends("/account/email", email=ADA)


def another_address_asked(person: Person) -> None:
    another_address(person)
    person.sends("/account/email", email=NEW)


def another_address_opened(person: Person) -> None:
    another_address_asked(person)
    person.opens(person.letter(NEW))


def another_address_confirmed(person: Person) -> None:
    another_address_opened(person)
    person.sends("/account/email/verify")


def at(path: str) -> Bring:
    return lambda person: (person.house.add_user(), person.opens(path))


PAGES = {
    f"by mail: {name}": Place(path, bring, mails=True)
    for name, path, bring in (
        ("sign-in", "/login", at("/login")),
        ("password forgotten", "/password/forgot", at("/password/forgot")),
        ("password forgotten, sent", "/password/forgot", asked("/password/forgot")),
        ("sign-in link", "/login/link", at("/login/link")),
        ("sign-in link, sent", "/login/link", asked("/login/link")),
        ("sign-in link, opened", "/login/link/open", opened("/login/link")),
        ("sign-up", "/sign-up", at("/sign-up")),
        ("sign-up, sent", "/sign-up", asked("/sign-up", NEW)),
        ("sign-up, opened", "/sign-up/verify", opened("/sign-up", NEW)),
        ("sign-up refused", "/sign-up/verify", sign_up_refused),
        ("invitation", "/invitation", invitation),
        ("admin: invited", "/admin/invitations", invited(NEW)),
        ("admin: invited by a link", "/admin/invitations", invited(NEW, by_link=True)),
        ("admin: not invited", "/admin/invitations/add", invited(ADA)),
        ("another address", "/account/email", another_address),
        ("another address refused", "/account/email", another_address_refused),
        ("another address, sent", "/account/email", another_address_asked),
        ("another address, opened", "/account/email/verify", another_address_opened),
        ("another address, changed", "/account/email", another_address_confirmed),
    )
}
