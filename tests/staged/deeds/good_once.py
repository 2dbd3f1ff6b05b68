"""What is good once, and used up before or with what it is for: an invitation, the proof of a key (RFC 9449 §11.1)."""

from __future__ import annotations

from urllib.parse import urlsplit

from app.users.invitations.invite import Made, invite
from tests.actors import Browser
from tests.holders import Holder
from tests.staged.deeds.scene import Deed, Request, Scene, again, cookies

GRACE, PASSWORD = "grace@example.com", "four quite different words"


# Accepting an invitation: the account is there with its password, or the invitation is as it was; a session comes after.
def begin_invitation(scene: Scene) -> Request:
    house = scene.house
    made = house.wait_for(invite(house.world, GRACE, by_mail=False))
    assert isinstance(made, Made)
    assert made.link is not None
    page = scene.browser.open("/invitation?" + urlsplit(made.link).query)
    fields = {"csrf": page.field("csrf"), "code": page.field("code"), "name": "Grace", "password": PASSWORD}
    return "/invitation", {"data": fields, "headers": cookies(scene)}


def joined(scene: Scene) -> bool:
    return scene.same(
        scene.count("users", f"email = '{GRACE}'"),
        scene.count("audit_events", f"event = 'user.created' AND detail->>'email' = '{GRACE}'"),
        1 - scene.count("invitations"),
        scene.noted("invitation.accepted"),
    )


def join_again(scene: Scene, done: bool) -> None:
    assert again(scene).status_code == (410 if done else 303), "it was accepted, and the account needs no other"
    assert joined(scene)
    assert Browser(scene.house.url).sign_in(email=GRACE, password=PASSWORD).url.endswith("/account")


# A refresh with a proof, which is used up first: whoever heard nothing signs another one.
def begin_bound(scene: Scene) -> Request:
    holder = scene.kept["holder"] = Holder(scene.app, scene.house)
    scene.kept["refresh_token"] = holder.tokens(scene.browser)["refresh_token"]
    scene.mark(used=scene.count("used_once"))
    form = {
        "grant_type": "refresh_token",
        "refresh_token": scene.kept["refresh_token"],
        "client_id": scene.app.client_id,
    }
    return "/token", {"data": form, "headers": {"DPoP": holder.proof("POST", "/token")}}


def rotated(scene: Scene) -> bool:
    done = scene.count("connections", "refresh_counter = 1") == 1
    assert scene.count("connections", "revoked_at IS NULL") == 1
    assert scene.count("used_once") - scene.kept["used"] in ((1,) if done else (0, 1)), "no refresh without its proof"
    return done


def rotate_again(scene: Scene, done: bool) -> None:
    holder: Holder = scene.kept["holder"]
    was_used = scene.count("used_once") > scene.kept["used"]
    assert again(scene).status_code == (400 if was_used else 200), "the same proof"
    answer = holder.refresh(scene.kept["refresh_token"])
    assert answer.status_code == 200, answer.text
    assert scene.count("connections", "refresh_counter = 1 AND revoked_at IS NULL") == 1
    assert holder.refresh(answer.json()["refresh_token"]).status_code == 200


DEEDS = (
    Deed("invitation", begin_invitation, joined, join_again),
    Deed("rotate-with-proof", begin_bound, rotated, rotate_again),
)
