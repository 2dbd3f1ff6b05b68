"""E-mail addresses: one spelling for one mailbox."""

from __future__ import annotations

import pytest

from app.protocol.email import normal_email

ONE = "ada@example.com"


@pytest.mark.parametrize(
    "typed",
    [
        ONE,
        " Ada@EXAMPLE.com ",
        "ada@ｅｘａｍｐｌｅ.com",
        "ada@example。com",
        "ada@example．com",
        "ada@exam\u00adple.com",
    ],
)
def test_one_mailbox_has_one_name(typed: str) -> None:
    """The letter goes to the domain that IDNA makes of it, whatever was typed."""
    assert normal_email(typed) in (ONE, None)


@pytest.mark.parametrize("typed", ["ada@ｅｘａｍｐｌｅ.com", "ada@example。com"])
def test_width_and_dots_are_folded(typed: str) -> None:
    assert normal_email(typed) == ONE


def test_a_long_s_is_an_s() -> None:
    assert normal_email("ada@muſeum.example") == "ada@museum.example"


def test_a_name_in_another_script_is_as_dns_has_it_however_it_is_typed() -> None:
    assert (
        normal_email("ada@bücher.example") == normal_email("ada@xn--bcher-kva.example") == "ada@xn--bcher-kva.example"
    )
    assert normal_email("ada@BU\u0308CHER.example") == "ada@xn--bcher-kva.example"


@pytest.mark.parametrize(
    "domain", ["a..b", ".a", "a.", "a。", "a。。b", "x" * 64, "\u00ad", "a。.", "\u00ad.b", "b.\u00ad", "a＠b"]
)
def test_what_dns_has_no_form_for_is_no_address(domain: str) -> None:
    assert normal_email(f"ada@{domain}") is None


def test_what_is_normal_stays_so() -> None:
    for typed in (ONE, "ada@bücher.example", "ſ@ſ.example", "ada@localhost"):
        once = normal_email(typed)
        assert once is not None
        assert normal_email(once) == once
