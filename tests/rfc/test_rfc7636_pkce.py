"""RFC 7636: PKCE, S256, for everybody."""

from __future__ import annotations

import pytest

from tests.actors import App, Browser


@pytest.mark.parametrize(
    "code_verifier", ["", "short", "x" * 42, "x" * 129, "x" * 5000, "x" * 43, "é" * 43, "x" * 42 + "\0", "x" * 42 + " "]
)
def test_a_wrong_verifier_redeems_nothing(app: App, browser: Browser, code_verifier: str) -> None:
    """§4.6."""
    code = app.code(browser)
    response = app.redeem(code, code_verifier=code_verifier)
    assert response.status_code == 400
    assert response.json()["error"] in ("invalid_grant", "invalid_request")
    assert app.redeem(code).status_code == 200


def test_the_challenge_does_not_pass_as_its_own_verifier(app: App, browser: Browser) -> None:
    """§7.2: no downgrade to plain."""
    code = app.code(browser)
    assert app.redeem(code, code_verifier=app.code_challenge).json()["error"] == "invalid_grant"


def test_every_character_of_the_grammar_is_accepted(app: App, browser: Browser) -> None:
    """§4.1: the Python SDK sends 128 of them."""
    app.code_verifier = ("aZ0-._~" * 20)[:128]
    assert app.connect(browser)["access_token"]
