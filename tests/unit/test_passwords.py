"""Which passwords will do (NIST SP 800-63B-4 §3.1.1.2): long enough, not what everybody tries, not one's own name; nothing else."""

from __future__ import annotations

import random
import string
import sys
import threading
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.hashing import threads
from app.users.passwords import LONGEST, Judged, fault, judge
from app.users.strength import COMMON, SAID, _guessed, plain

ABOUT = ["https://mcp.example.com", "ada@example.com", "Ada Lovelace"]


@pytest.mark.parametrize(
    "password",
    ["four words make one", "my dog has fleas", "kx#9vQ!2pz@Lm4$w", "红烧肉与三只猫在屋顶上唱歌到天亮", "İstanbul'da çay içtik",
     "mustermann straße öl", "all lower case without digits", "0815 4711 9283 7465", "a" * 30 + "kx#9vQ!2pz@Lm4$w"],
)  # fmt: skip
def test_what_will_do(password: str) -> None:
    assert judge(password, ABOUT).fault is None


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("fourteen chars", "at least 15"),
        ("e\u0301" * 14, "at least 15"),
        ("x" * 257, "at most 256"),
        ("correct horse battery staple", "first passwords"),
        ("Correct-Horse-Battery-Staple!1", "first passwords"),
        ("CORRECTHORSEBATTERYSTAPLE", "first passwords"),
        ("the quick brown fox", "first passwords"),
        ("qwertyuiopasdfgh", "first passwords"),
        ("woaini1314520woaini", "first passwords"),
        ("我爱你我爱你我爱你我爱你我爱你", "first passwords"),
        ("sunshine sunshine sunshine", "Repeating"),
        ("Ada Lovelace 1815", "your own name"),
        ("ada@example.com!!", "your own name"),
        ("gatehouse-gatehouse", "your own name"),
        ("mcp.example.com-123", "your own name"),
        ("aaaaaaaaaaaaaaaaaaaa", "Repeating"),
        ("password1234567", "many people use"),
        ("P4$$w0rd!P4$$w0rd!", "guessed too soon"),
        ("19.11.1977 19.11.1977", "guessed too soon"),
    ],
)
def test_what_will_not_do_and_why(password: str, reason: str) -> None:
    assert reason in (fault(password, ABOUT) or "")


def test_a_password_of_256_characters_is_judged_in_20_milliseconds() -> None:
    """Also where every sign may stand for letters: zxcvbn alone takes seconds for 72 of them."""
    judge("warm up the dictionaries", ABOUT)
    shuffle = random.Random(1)
    alphabets = ["4@8({[<36910|!$5+7%2", string.printable[:94], "i", "1", "17|", "il1", "a", "ab", "0123456789/-.", "é"]
    typed = ["".join(shuffle.choice(alphabet) for _ in range(LONGEST)) for alphabet in alphabets]
    for password in [*typed, alphabets[0] * 13, (alphabets[0] * 13)[3:259]]:
        times = []
        for _ in range(5):
            began = time.thread_time()
            judge(password, ABOUT)
            times.append(time.thread_time() - began)
        assert min(times) < 0.02, password


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300))
def test_whatever_is_typed_is_judged(password: str) -> None:
    found = judge(password, ABOUT)
    assert isinstance(found, Judged)
    assert (found.fault is None) == (found.score is not None and found.score >= 3)
    length = len(unicodedata.normalize("NFC", password))
    assert (found.score is None) == (not 15 <= length <= 256)


def test_what_is_known_of_one_does_not_count_for_another() -> None:
    """zxcvbn keeps what it is told in a global, and this runs in several threads."""
    wrong: list[str] = []

    def ask_often(known: str, password: str) -> None:
        for _ in range(1000):
            if _guessed(password, [known])[0] < 4:
                wrong.append(password)

    pairs = [("zanzibarquokka", "four words make one"), ("rhinoceros", "zanzibarquokka!")]
    threads = [threading.Thread(target=ask_often, args=pair) for pair in pairs]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(interval)
    assert wrong == []


def test_the_list_is_as_it_is_looked_up() -> None:
    lines = [line for line in COMMON.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert len(lines) > 600
    assert lines == sorted(set(lines))
    assert all(plain(line) == line and len(line) >= 7 for line in lines)


def test_everything_that_zxcvbn_says_has_words_of_ours() -> None:
    import inspect
    import re

    from zxcvbn import feedback  # type: ignore[import-untyped]

    source = inspect.getsource(feedback)
    said = re.findall(r"_\(\s*['\"]([^'\"]{8,})", source)
    left = [text for text in said if not any(text.startswith(begins) for begins in SAID)]
    assert {text[:12] for text in left} <= {
        "Use a longer",
        "Avoid repeat",
        "Avoid sequen",
        "Avoid recent",
        "Avoid dates ",
        "Avoid years ",
        "No need for ",
    }
    assert len(said) > 20


def test_many_processors_are_no_reason_for_many_threads() -> None:
    """Each keeps 19 MiB, in every process."""
    assert [threads(processors) for processors in (1, 2, 4, 5, 64)] == [1, 1, 3, 4, 4]
