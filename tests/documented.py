"""What docs/elsewhere.md shows, taken out of it and put to the addresses of a test; and tokens that nobody elsewhere may take."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.conftest import ROOT, House
from tests.signers import Signer

PAGE = ROOT / "docs" / "elsewhere.md"
ISSUER, RESOURCE = "https://mcp.example.com", "https://tools.example.com/mcp"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def block(language: str, name: str = "") -> str:
    """The first block in this language after the words `name`."""
    text = PAGE.read_text()
    found = FENCE.search(text, text.index(f"`{name}`") if name else 0)
    while found is not None and found[1] != language:
        found = FENCE.search(text, found.end())
    assert found is not None, f"no {language} {name}"
    return found[2]


def at(text: str, house: House, resource: str) -> str:
    """With the addresses of this test in place of the documented ones."""
    assert ISSUER in text or RESOURCE in text or "9000" in text
    port = re.search(r":(\d+)/", resource)
    text = text.replace(RESOURCE, resource).replace(ISSUER, house.url)
    return text.replace("9000", port[1]) if port else text


def written(folder: Path, house: House, resource: str, *names: str) -> None:
    """The programs of these names, as files."""
    for name in names:
        language = {"py": "python", "ts": "ts"}[name.rsplit(".", 1)[1]]
        (folder / name).write_text(at(block(language, name), house, resource))


def resources(resource: str) -> str:
    """gatehouse.toml as documented, with the address of this test."""
    return block("toml").replace(RESOURCE, resource)


def answers(command: list[str], folder: Path, lines: list[str], environment: dict[str, str]) -> list[Any]:
    """What a program answers to each line, a line of JSON each."""
    given = "".join(json.dumps(line) + "\n" for line in lines)
    ran = subprocess.run(command, cwd=folder, env=environment, input=given, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def signed(house: House, resource: str, header: dict[str, Any] | None = None, **changed: Any) -> str:
    """As Gatehouse signs, but for what is changed; None leaves a claim out."""
    key = house.world.live.ring.signer(house.world.now())
    now = int(house.world.now().timestamp())
    claims = {"iss": house.url, "sub": "u", "aud": resource, "client_id": "c", "iat": now, "exp": now + 600}
    claims |= {"jti": "j", "scope": "tools:use", "via": "authorization_code"} | changed
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(kept, key.private, "ES256", {"typ": "at+jwt", "kid": key.kid} | (header or {}))


def with_the_public_key(house: House, resource: str) -> str:
    """HS256 with the public key for a secret (RFC 8725 §2.1)."""
    key = house.world.live.ring.signer(house.world.now())
    good = jwt.decode(signed(house, resource), options={"verify_signature": False})
    pem = key.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    header = jwt.utils.base64url_encode(json.dumps({"alg": "HS256", "typ": "at+jwt", "kid": key.kid}).encode())
    body = header + b"." + jwt.utils.base64url_encode(json.dumps(good).encode())
    algorithm = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    return (body + b"." + jwt.utils.base64url_encode(algorithm.sign(body, pem))).decode()


def unsigned(house: House, resource: str) -> str:
    claims = jwt.decode(signed(house, resource), options={"verify_signature": False})
    kid = house.world.live.ring.signer(house.world.now()).kid
    return jwt.encode(claims, "", "none", {"typ": "at+jwt", "kid": kid})


def by_a_stranger(house: House, resource: str) -> str:
    claims = jwt.decode(signed(house, resource), options={"verify_signature": False})
    kid = house.world.live.ring.signer(house.world.now()).kid
    signer = Signer("ES256")
    return signer.sign(claims, typ="at+jwt", kid=kid, jwk=signer.jwk, jku="http://localhost:9/keys")


def of_two(house: House, resource: str) -> str:
    return signed(house, resource, aud=[resource, f"{house.url}/mcp"])


BAD: dict[str, Callable[[House, str], str]] = {
    "garbage": lambda house, resource: "garbage",
    "empty": lambda house, resource: "",
    "for another resource": lambda house, resource: signed(house, f"{house.url}/mcp"),
    "for nobody": lambda house, resource: signed(house, resource, aud=None),
    "for two": of_two,
    "for nearly this": lambda house, resource: signed(house, f"{resource}/"),
    "of another issuer": lambda house, resource: signed(house, resource, iss=f"{house.url}/"),
    "of no issuer": lambda house, resource: signed(house, resource, iss=None),
    "an id_token": lambda house, resource: signed(house, resource, {"typ": "JWT"}),
    "of a type that is none": lambda house, resource: signed(house, resource, {"typ": ""}),
    "expired": lambda house, resource: signed(house, resource, exp=1_700_000_000),
    "for ever": lambda house, resource: signed(house, resource, exp=None),
    "of nobody": lambda house, resource: signed(house, resource, sub=None),
    "without scope": lambda house, resource: signed(house, resource, scope=None),
    "bound to a key": lambda house, resource: signed(house, resource, cnf={"jkt": "x" * 43}),
    "of an unknown key": lambda house, resource: signed(house, resource, {"kid": "unknown"}),
    "tampered with": lambda house, resource: signed(house, resource)[:-6] + "AAAAAA",
    "unsigned": unsigned,
    "signed with the public key": with_the_public_key,
    "signed by a stranger": by_a_stranger,
}


def python(folder: Path, source: str) -> list[str]:
    """The command that runs this beside the written programs."""
    (folder / "ask.py").write_text(source)
    return [sys.executable, "ask.py"]
