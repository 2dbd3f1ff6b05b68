"""Every secret there is goes through the server once, and is then looked for in the log, the traces, the audit rows, every table."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from pydantic import SecretStr

from app.db.tables import metadata
from app.operate import logs
from app.protocol.metadata import JWT_BEARER
from tests.actors import App, Browser, Device, Page
from tests.conftest import SECRET_KEY, House, emptied
from tests.doors import certificate
from tests.factors import first_step, second_step, set_up
from tests.holders import Holder
from tests.mailbox import Mailboxes
from tests.signers import Signer

FIRST, SECOND, THIRD = "canary first password 1", "canary second password 2", "canary third password 3"
WRONG = "canary wrong password 4"
SEALS = "canary-of-the-secret-key-that-seals-everything"
MAIL = "s3cret@/:"  # which the postman of the tests knows
CANARY = "canary-of-"


class Cage:
    """The canaries, by what they are."""

    def __init__(self) -> None:
        self.birds: dict[str, str] = {}

    def add(self, **birds: object) -> None:
        for name, bird in birds.items():
            assert isinstance(bird, str), name
            assert len(bird) >= 6, f"{name} is too short to be looked for"
            self.birds[name] = bird

    def found_in(self, text: str) -> list[str]:
        """Which of them are there, however they are written: plain, escaped, in hexadecimal, in base 64."""
        return [name for name, bird in self.birds.items() if any(form in text for form in forms(bird))]


def forms(bird: str) -> set[str]:
    raw = bird.encode()
    shifts = (base64.b64encode(b"x" * pad + raw).decode()[4:-4] for pad in range(3))  # wherever in a longer text
    return {
        bird,
        quote(bird),
        quote(bird, safe=""),
        json.dumps(bird)[1:-1],
        raw.hex(),
        *(s for s in shifts if len(s) > 8),
    }


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    return certificate(tmp_path)


@pytest.fixture
def postman(tls: tuple[ssl.SSLContext, Path]) -> Iterator[Mailboxes]:
    """Who lets nobody in without a password."""
    boxes = Mailboxes(tls=tls[0], auth=True)
    yield boxes
    boxes.close()


@pytest.fixture
def loud(
    dsn: str, postman: Mailboxes, tls: tuple[ssl.SSLContext, Path], capfd: pytest.CaptureFixture[str]
) -> Iterator[House]:
    """Says everything it can, and was given secrets by its operator."""
    smtp = SecretStr(f"smtp://post%20man:{quote(MAIL, safe='')}@localhost:{postman.port}")
    house = House(
        dsn,
        log_level="debug",
        secret_key=(SecretStr(SECRET_KEY), SecretStr(SEALS)),  # the first seals, for other tests too
        ca_file=tls[1],
        smtp_url=smtp,
        mail_from="Gatehouse <no-reply@example.com>",
    )
    try:
        yield emptied(house.start())
    finally:
        house.stop()
        logs.configure("error")


def sealed_away(house: House) -> str:
    """Every row of every table, as text."""
    return "\n".join(
        str(row[0]) for table in metadata.sorted_tables for row in house.sql(f'SELECT t::text FROM "{table.name}" t')
    )


def test_no_secret_is_found_anywhere(loud: House, postman: Mailboxes, capfd: pytest.CaptureFixture[str]) -> None:
    cage = Cage()
    cage.add(seals=SEALS, sealed=SECRET_KEY, database=urlsplit(loud.dsn).password, mail=MAIL, wrong_password=WRONG)
    ada = Browser(loud.url)
    loud.add_user(password=FIRST)
    signs_in_and_changes_the_password(loud, ada, cage)
    connects(loud, ada, cage)
    connects_in_every_other_way(loud, ada, cage)
    takes_keys(loud, ada, cage)
    takes_a_second_step(loud, ada, cage)
    comes_by_links(loud, cage, postman)
    private = loud.world.live.ring.keys[0].private.private_numbers()
    cage.add(private_key=format(private.private_value, "x"))  # type: ignore[union-attr]
    for flush in (loud.world.last_used.flush, loud.world.tally.flush, loud.world.traces.flush):
        loud.wait_for(flush())
    assert len(cage.birds) > 40
    written = capfd.readouterr()
    rows = sealed_away(loud)
    assert '"event":"request"' in written.err
    assert loud.sql("SELECT count(*) > 20 FROM trace_steps") == [(True,)]
    assert cage.found_in(written.err + written.out) == []
    assert cage.found_in(rows) == []
    assert "ada@example.com" in rows, "this does read the tables"


def signs_in_and_changes_the_password(house: House, ada: Browser, cage: Cage) -> None:
    ada.sign_in(password=WRONG)
    ada.sign_in(password=FIRST)
    page = ada.open("/account/security")
    for new, current in ((THIRD, WRONG), (SECOND, FIRST)):
        ada.send("/account/security/password", csrf=page.field("csrf"), current=current, password=new)
    page = ada.open("/login?x=1")
    page = ada.open("/account")
    if "/login" in page.url:
        page = ada.sign_in(page, password=SECOND)
    cage.add(first_password=FIRST, second_password=SECOND, refused_password=THIRD, form_token=page.field("csrf"))
    cage.add(**{f"cookie_{name}": value for name, value in ada.http.cookies.items()})


def connects(house: House, ada: Browser, cage: Cage) -> None:
    """As a confidential app, with everything that may be sent along; then with all of it in the wrong place."""
    app = App(house.url)
    cage.add(
        registration_token=app.register(token_endpoint_auth_method="client_secret_post")["registration_access_token"]
    )
    code = app.code(ada, state=f"{CANARY}state", scope="openid read write")
    tokens = app.redeem(code).json()
    cage.add(
        client_secret=app.client_secret, code=code, verifier=app.code_verifier, state=f"{CANARY}state", **shown(tokens)
    )
    cage.add(**{f"next_{name}": token for name, token in shown(app.refresh(tokens["refresh_token"]).json()).items()})
    assert app.call("whoami", tokens["access_token"]).status_code == 200
    form = {"client_id": app.client_id, "client_secret": app.client_secret, "token": tokens["refresh_token"]}
    app.http.post(f"{house.url}/revoke", data=form)
    app.http.post(f"{house.url}/introspect", data=form)
    app.redeem(code)
    wrong = {
        name: f"{CANARY}wrong-{name}" for name in ("secret", "code", "refresh", "bearer", "basic", "verifier", "cookie")
    }
    cage.add(**{f"wrong_{name}": value for name, value in wrong.items()})
    app.token(grant_type="authorization_code", code=wrong["code"], code_verifier=wrong["verifier"] * 3)
    app.token(grant_type="authorization_code", code=wrong["code"], client_secret=wrong["secret"])
    app.refresh(wrong["refresh"])
    app.http.post(f"{house.url}/token", data={"grant_type": "x"}, auth=(app.client_id, wrong["basic"]))
    app.call("whoami", wrong["bearer"])
    everything = {name: value for name, value in cage.birds.items() if len(value) < 3000}
    Browser(house.url).http.get(f"{house.url}/nothing", params=everything, headers={"Cookie": f"sid={wrong['cookie']}"})
    for path in ("/token", "/login", "/authorize", "/mcp", "/healthz"):
        app.http.get(house.url + path, params={"code": code, "access_token": tokens["access_token"]})
    app.http.post(f"{house.url}/register", json={"redirect_uris": ["x"], "client_secret": wrong["secret"]})


def shown(tokens: dict[str, object]) -> dict[str, str]:
    """A JWT's first parts say nothing that is secret; who has its signature has the token."""
    shown = {name: str(value) for name, value in tokens.items() if name.endswith("token")}
    return shown | {f"{name}_signature": value.split(".")[2] for name, value in shown.items() if value.count(".") == 2}


def connects_in_every_other_way(house: House, ada: Browser, cage: Cage) -> None:
    """DPoP, signed assertions, pushed requests, devices, machines."""
    holder = Holder(App(house.url), house)
    holder.app.register()
    proof = holder.proof("POST", "/token")
    answer = holder.redeem(holder.app.code(ada), proof)
    cage.add(dpop_proof=proof, **{f"dpop_{name}": token for name, token in shown(answer.json()).items()})
    holder.call(answer.json()["access_token"])

    signer, app = Signer(), App(house.url)
    app.register(token_endpoint_auth_method="private_key_jwt", jwks={"keys": [signer.jwk]})
    assertion = signer.assertion(app.client_id, house.url, house.clock())
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    assert app.redeem(app.code(ada), client_assertion=assertion, client_assertion_type=kind).status_code == 200
    app.token(grant_type=JWT_BEARER, assertion=f"{CANARY}id-jag", client_assertion=assertion)
    cage.add(assertion=assertion, id_jag=f"{CANARY}id-jag")

    pusher = App(house.url)
    pusher.register()
    query = parse_qs(urlsplit(pusher.authorize_url(state=f"{CANARY}pushed-state")).query)
    pushed = pusher.http.post(f"{house.url}/par", data={name: values[0] for name, values in query.items()}).json()
    page = ada.open(f"/authorize?client_id={pusher.client_id}&request_uri={pushed['request_uri']}")
    ended = page if page.left_to else ada.decide(page)
    cage.add(request_uri=pushed["request_uri"], pushed_state=f"{CANARY}pushed-state", pushed_code=ended.answer["code"])

    device = Device.of(App(house.url))
    device.decide(ada)
    tokens = device.poll().json()
    cage.add(device_code=device.device_code, user_code=device.user_code)
    cage.add(**{f"device_{name}": token for name, token in shown(tokens).items()})


def takes_keys(house: House, ada: Browser, cage: Cage) -> None:
    key = ada.http.post(f"{house.url}/api-keys", json={"name": "laptop"}).json()["apiKey"]
    app = App(house.url)
    exchanged = app.http.post(f"{house.url}/auth/token", json={"apiKey": key}).json()
    app.call("whoami", key)
    guess = "gh_key_" + "canary" * 8
    app.http.post(f"{house.url}/auth/token", json={"apiKey": guess})
    app.call("whoami", guess)
    cage.add(api_key=key, guessed_key=guess)
    cage.add(
        **{f"key_{name}": str(token) for name, token in exchanged.items() if "oken" in name and len(str(token)) > 20}
    )


def takes_a_second_step(house: House, ada: Browser, cage: Cage) -> None:
    phone = set_up(house, ada)
    cage.add(totp_key=phone.key, **{f"recovery_{number}": code for number, code in enumerate(phone.recovery)})
    cage.add(**{f"bare_recovery_{number}": code.replace("-", "") for number, code in enumerate(phone.recovery)})
    other = Browser(house.url)
    page = second_step(other, first_step(other, password=SECOND), code="000000")
    second_step(other, page, code=phone.next_code())
    another = Browser(house.url)
    second_step(another, first_step(another, password=SECOND), code=phone.recovery[0])
    cage.add(**{f"other_cookie_{name}": value for name, value in other.http.cookies.items() if len(value) > 20})


def comes_by_links(house: House, cage: Cage, postman: Mailboxes) -> None:
    """By mail and from the operator."""
    for path in ("/password/forgot", "/login/link"):
        visitor = Browser(house.url)
        page = visitor.open(path)
        visitor.send(path, csrf=page.field("csrf"), req=page.field("req"), email="ada@example.com")
        link = postman.sent(house)[-1].link
        opened: Page = visitor.open(link)
        assert opened.status == 200
        cage.add(**{f"link_of_{path}": opened.field("code")})
    visitor.open("/password?code=gh_link_" + "canary" * 6)
    cage.add(guessed_link="gh_link_" + "canary" * 6)
