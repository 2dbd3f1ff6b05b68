"""Languages: the catalogs are whole and current, every translation fits, and who gets which (RFC 9110 §12.5.4, RFC 4647 §3.4)."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from babel.messages.catalog import Message

from app.clients import reset
from app.language.catalogs import CATALOG, LANGUAGES, chosen, speak, spoken
from app.language.when import ago, day
from tests import catalog

PLACEHOLDER = re.compile(r"%\([a-z_]+\)s|\{[a-z_]+\}|<[^>]+>|`[^`]+`")
TRANSLATIONS = catalog.translations()
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def name_of(path: Path) -> str:
    return path.parent.parent.name


def texts(message: Message) -> list[tuple[str, str]]:
    """Each translation beside what it translates; of a plural all beside the last form."""
    if isinstance(message.id, str):
        return [(message.id, str(message.string))]
    return [(message.id[-1], string) for string in message.string or ()]


def test_every_language_has_a_catalog() -> None:
    assert sorted(CATALOG.values()) == [name_of(path) for path in TRANSLATIONS]
    assert CATALOG.keys() | {"en"} == LANGUAGES.keys()


def test_the_collection_is_current() -> None:
    """What fails here is put right by `make messages`."""
    assert catalog.template(catalog.collected()).decode() == catalog.POT.read_text()


@pytest.mark.parametrize("path", TRANSLATIONS, ids=name_of)
def test_the_compiled_catalog_is_that_of_the_words(path: Path) -> None:
    """What fails here is put right by `make messages`."""
    assert path.with_suffix(".mo").read_bytes() == catalog.compiled(catalog.translated(path))


@pytest.mark.parametrize("path", TRANSLATIONS, ids=name_of)
def test_nothing_is_left_untranslated(path: Path) -> None:
    ours = catalog.translated(path)
    assert catalog.missing(ours) == []
    assert {message.id for message in ours} == {message.id for message in catalog.collected()}


@pytest.mark.parametrize("path", TRANSLATIONS, ids=name_of)
def test_placeholders_and_markup_are_the_same_on_both_sides(path: Path) -> None:
    for message in catalog.translated(path):
        if message.id:
            for english, translation in texts(message):
                assert sorted(PLACEHOLDER.findall(english)) == sorted(PLACEHOLDER.findall(translation)), translation


@pytest.mark.parametrize("path", [path for path in TRANSLATIONS if name_of(path).startswith("zh")], ids=name_of)
def test_chinese_has_chinese_punctuation(path: Path) -> None:
    for message in catalog.translated(path):
        if message.id:
            for _, translation in texts(message):
                words = PLACEHOLDER.sub("", translation)
                assert not re.search(r"[\u4e00-\u9fff][,.;:?!()]|[,;:?!()][\u4e00-\u9fff]", words), translation
                assert not re.search(r"\s$|^\s", translation), translation


@pytest.mark.parametrize("language", CATALOG)
def test_the_steps_back_are_translated_one_by_one(language: str) -> None:
    """The same apps, as many steps, the same commands in them."""
    said = json.loads(reset.RESET_STEPS.read_text())
    english = {entry["client"]: entry["steps"] for entry in said["clients"]} | {"otherwise": said["otherwise"]}
    translated = json.loads(reset.RESET_STEPS.with_name(f"reset_steps.{language}.json").read_text())
    assert translated.keys() == english.keys()
    for client, steps in english.items():
        assert len(translated[client]) == len(steps), client
        for ours, theirs in zip(steps, translated[client], strict=True):
            assert re.findall("`[^`]+`", ours) == re.findall("`[^`]+`", theirs), client


# Who gets which ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wishes", "language"),
    [
        ("", None),
        ("en", "en"),
        ("en-GB,en;q=0.9", "en"),
        ("zh", "zh-Hans"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-Hans"),
        ("zh-Hans-SG", "zh-Hans"),
        ("ZH-cn", "zh-Hans"),
        ("zh-TW", None),
        ("zh-Hant-CN", None),
        ("zh-TW,en;q=0.5", "en"),
        ("de,fr;q=0.9", None),
        ("de,zh;q=0.3,en;q=0.2", "zh-Hans"),
        ("en;q=0.2,zh;q=0.7", "zh-Hans"),
        ("zh;q=0,en", "en"),
        ("zh;q=x,en;q=0.5", "en"),
        ("zh-CN en", "zh-Hans"),
        ("*", None),
        (";;;,,,=q", None),
        ("zh;q=1e999", "zh-Hans"),
        ("x" * 10_000 + ",zh", None),
    ],
)
def test_the_best_of_what_we_have(wishes: str, language: str | None) -> None:
    assert chosen(wishes) == language


def test_days_and_times_are_said_as_the_language_says_them() -> None:
    told = {}
    for language in LANGUAGES:
        before = spoken.set(language)
        told[language] = [
            day(NOW).words,
            ago(NOW - timedelta(seconds=30), NOW).words,
            ago(NOW - timedelta(minutes=5), NOW).words,
            ago(NOW - timedelta(hours=1), NOW).words,
            ago(NOW - timedelta(days=3), NOW).words,
        ]
        spoken.reset(before)
    assert told["en"] == ["21 November 2026", "just now", "5 minutes ago", "1 hour ago", "3 days ago"]
    assert told["zh-Hans"] == ["2026年11月21日", "刚刚", "5 分钟前", "1 小时前", "3 天前"]


def test_a_language_that_we_do_not_have_changes_nothing() -> None:
    before = spoken.get()
    speak("tlh")
    speak(None)
    assert spoken.get() == before
