"""pymacaroons, in a Python of its own, reads, narrows and verifies what is on its input: JSON lines in, JSON lines out."""

import base64
import importlib
import json
import sys

library = importlib.import_module("pymacaroons")


def judged(token: bytes, key: bytes, add: list[str]) -> dict[str, object]:
    given = library.Macaroon.deserialize(base64.urlsafe_b64encode(token).decode())
    for caveat in add:
        given.add_first_party_caveat(caveat)
    seen: list[str] = []
    verifier = library.Verifier()

    def satisfied(caveat: str) -> bool:
        seen.append(caveat)
        return True

    verifier.satisfy_general(satisfied)
    try:
        verified = verifier.verify(given, key)
    except Exception:
        verified = False
    written = given.serialize()
    raw = base64.urlsafe_b64decode(written + "=" * (-len(written) % 4))
    said = {"identifier": given.identifier_bytes.hex(), "caveats": seen, "verified": verified}
    return {**said, "token": raw.hex(), "signature": given.signature}


for line in sys.stdin:
    asked = json.loads(line)
    answer = judged(bytes.fromhex(asked["token"]), bytes.fromhex(asked["key"]), asked.get("add", []))
    print(json.dumps(answer), flush=True)
