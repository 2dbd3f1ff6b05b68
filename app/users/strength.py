"""How easily a password would be guessed: what everybody tries, what is known of its owner, and zxcvbn (NIST SP 800-63B-4 §3.1.1.2)."""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from app.language.catalogs import N_, _

COMMON = Path(__file__).parent / "common_passwords.txt"
ENOUGH = 3  # of zxcvbn's 0 to 4: more than a hundred million guesses, each of which costs Argon2id
PART = 20  # characters that zxcvbn looks at: its time grows with more than their square
SYMBOLS = 2  # different ones that may stand for letters, of those that zxcvbn tries every combination of
TELLING = 8  # letters and digits that a well-known phrase needs besides, to be a password
SITE = "gatehouse"

TOO_COMMON = N_("This is one of the first passwords that others would try.")
TOO_PERSONAL = N_("This is little more than your own name or address, or this site's.")
TOO_WEAK = N_("This password would be guessed too soon.")
ADD_WORDS = N_("Add a word or two; unusual ones are better.")
REPEATS = N_("Repeating something makes it longer, but hardly harder to guess.")
KEYS = N_("Neighbouring keys are easy to guess.")
SEQUENCES = N_("Sequences such as abc or 6543 are easy to guess.")
DATES = N_("Dates and years are easy to guess.")
NAMES = N_("Names are easy to guess.")
COMMON_WORD = N_("It is close to a password that many people use.")
ONE_WORD = N_("A word by itself is easy to guess.")
CAPITALS = N_("Capital letters hardly help.")
SWAPS = N_("Writing @ for a, or 0 for o, hardly helps.")
BACKWARDS = N_("Words written backwards are hardly harder to guess.")
# What zxcvbn says (zxcvbn/feedback.py), by how it begins, in our words.
SAID = {
    "Add another word": ADD_WORDS,
    "Use a few words": ADD_WORDS,
    "Repeats like": REPEATS,
    "Straight rows": KEYS,
    "Short keyboard": KEYS,
    "Sequences like": SEQUENCES,
    "Dates are": DATES,
    "Recent years": DATES,
    "Names and surnames": NAMES,
    "Common names": NAMES,
    "This is a top": COMMON_WORD,
    "This is a very": COMMON_WORD,
    "This is similar": COMMON_WORD,
    "A word by itself": ONE_WORD,
    "Capitalization": CAPITALS,
    "All-uppercase": CAPITALS,
    "Predictable": SWAPS,
    "Reversed": BACKWARDS,
}
LETTER = dict(zip("@({[<!|$+%", "acccciistx", strict=True))

zxcvbn_at_work = threading.Lock()  # it keeps what it is told of the owner in a global


@dataclass(frozen=True, slots=True)
class Strength:
    """`score` is 0 (guessed at once) to 4; `fault` says why it is refused, `reasons` what to do about it."""

    score: int
    fault: str | None = None
    reasons: tuple[str, ...] = ()


def strength(password: str, about: Collection[str] = ()) -> Strength:
    """Of a password in NFC; `about` is what is known of its owner and the site. Takes milliseconds: for a thread."""
    letters, known = plain(password), _known(about)
    if is_common(letters):
        return Strength(0, _(TOO_COMMON), (_(ADD_WORDS),))
    rest = letters
    for word in known:
        rest = rest.replace(word, "")
    if rest != letters and len(rest) < TELLING:
        return Strength(0, _(TOO_PERSONAL), (_(ADD_WORDS),))
    score, said = _guessed(password[:PART], known)
    if score < ENOUGH and password[-PART:] not in password[:-1]:
        score, said = max((score, said), _guessed(password[-PART:], known))
    again = repeated(letters)
    if again is not None:
        score, said = min((score, said), (_guessed(again[:PART], known)[0], ["Repeats like"]))
    if score >= ENOUGH:
        return Strength(score)
    found = (ours for text in said for begins, ours in SAID.items() if text.startswith(begins))
    return Strength(score, _(TOO_WEAK), tuple(_(words) for words in dict.fromkeys(found)))


def plain(password: str) -> str:
    """Its letters and digits, in lower case: how it is written changes little for whoever guesses."""
    return "".join(c for c in unicodedata.normalize("NFKC", password).casefold() if c.isalnum())


def is_common(letters: str) -> bool:
    """One of the phrases that everybody tries, a piece of one, or little more than one."""
    if len(letters) < TELLING:
        return False  # signs, mostly: for zxcvbn to judge
    return any(letters in phrase or len(letters.replace(phrase, "")) < TELLING for phrase in _common())


def repeated(letters: str) -> str | None:
    """What it says again and again, whatever signs stand between; None when it does not."""
    for length in range(1, len(letters) // 2 + 1):
        unit = letters[:length]
        if (unit * (len(letters) // length + 1))[: len(letters)] == letters:
            return unit
    return None


@cache
def _common() -> tuple[str, ...]:
    lines = COMMON.read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if not line.startswith("#"))


def _known(about: Collection[str]) -> list[str]:
    """The words of it, the longest first, so that none is left half over."""
    words = {SITE}
    for text in about:
        parts = "".join(c if c.isalnum() else " " for c in text[:300]).split()
        words |= {plain(text[:300]), *map(plain, parts)}
    return sorted((word for word in words if len(word) > 2), key=len, reverse=True)[:30]


def _guessed(part: str, known: list[str]) -> tuple[int, list[str]]:
    """zxcvbn's score of this part, and what it says to it."""
    from zxcvbn import zxcvbn  # type: ignore[import-untyped]  # here, since its dictionaries weigh 15 MiB

    with zxcvbn_at_work:
        result = zxcvbn(_tamed(part), list(known))
    feedback = result["feedback"]
    return result["score"], [feedback["warning"], *feedback["suggestions"]]


def _tamed(part: str) -> str:
    """zxcvbn tries every combination of what symbols may stand for, which takes seconds where there are many: only the
    first SYMBOLS are left to it, the others become the letter they look like. Digits stay, for they make sequences too."""
    left = list(dict.fromkeys(c for c in part if c in LETTER))[:SYMBOLS]
    return "".join(c if c in left else LETTER.get(c, c) for c in part)
