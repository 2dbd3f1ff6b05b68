"""A server with a name, a logo and a colour of its own: on every page, in every title, and harmless."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr

from app.settings.read import SettingsError, load
from tests.actors import App, Browser
from tests.conftest import House

LOGO = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><script>alert(1)</script></svg>'


@pytest.fixture
def branded(house: House, dsn: str, tmp_path: Path) -> Iterator[House]:
    logo = tmp_path / "logo.svg"
    logo.write_bytes(LOGO)
    ours = House(dsn, brand_name="Tools & <Söhne>", brand_logo=logo, brand_accent="#FFD400").start()
    yield ours
    ours.stop()


def test_every_page_bears_it(branded: House) -> None:
    browser = Browser(branded.url)
    for page in (browser.open("/"), browser.open("/login"), browser.open("/authorize")):
        assert "· Tools &amp; &lt;Söhne&gt;</title>" in page.text
        assert "<bdi>Tools &amp; &lt;Söhne&gt;</bdi></a>" in page.text
        assert page.text.count('"/static/logo?v=') == 2
        assert '<link rel="stylesheet" href="/static/brand.css?v=' in page.text
        assert page.text.index("gatehouse.css") < page.text.index("brand.css"), "it has the last word"


def test_the_logo_is_a_picture_and_nothing_else(branded: House) -> None:
    answer = App(branded.url).http.get(f"{branded.url}/static/logo")
    assert answer.content == LOGO
    assert answer.headers["content-type"] == "image/svg+xml"
    assert answer.headers["x-content-type-options"] == "nosniff"
    csp = answer.headers["content-security-policy"]
    assert "default-src 'none'" in csp
    assert "sandbox" in csp
    assert "script-src" not in csp


def test_the_colour_is_put_right(branded: House) -> None:
    answer = App(branded.url).http.get(f"{branded.url}/static/brand.css")
    assert answer.headers["content-type"].startswith("text/css")
    assert "--accent: #7d6c00" in answer.text, "yellow cannot be read on white"
    assert "--accent: #ffd400" in answer.text, "but it can in the dark"


def test_without_a_brand_there_is_the_house(house: House, browser: Browser) -> None:
    page = browser.open("/")
    assert "· Gatehouse</title>" in page.text
    assert "/static/icon.svg?v=" in page.text
    assert "brand.css" not in page.text
    for path in ("/static/logo", "/static/brand.css"):
        assert App(house.url).http.get(house.url + path).status_code == 404


def test_what_will_not_do_is_told_at_the_start(tmp_path: Path) -> None:
    given = {"public_url": "http://localhost:1", "database_url": SecretStr("postgresql://x/y"), "secret_key": "k" * 32}
    with pytest.raises(SettingsError) as fault:
        load(**given, brand_name=" ", brand_logo=tmp_path / "none.svg", brand_accent="green")
    told = str(fault.value)
    assert "GATEHOUSE_BRAND_NAME must have 1 to 60 visible characters" in told
    assert "GATEHOUSE_BRAND_LOGO" in told
    assert "cannot be read" in told
    assert "GATEHOUSE_BRAND_ACCENT must be a colour such as #1f5c4d" in told


def test_files_of_pages_are_packed_for_whoever_takes_that(house: House) -> None:
    """RFC 9110 §12.5.3: unless a weight of nothing says no. Pages are not: they hold secrets beside strangers' words."""
    at = f"{house.url}/static/gatehouse.css"
    sizes = {}
    for accepted, coding in {
        "gzip, br": "gzip",
        "br;q=1, gzip;q=0.5": "gzip",
        "gzip;q=0": None,
        "gzip; q=0.0": None,
        "": None,
    }.items():
        answer = httpx2.get(at, headers={"Accept-Encoding": accepted})
        assert answer.headers.get("content-encoding") == coding, accepted
        assert answer.headers["vary"] == "Accept-Encoding"
        assert ".card" in answer.text
        sizes[coding] = int(answer.headers["content-length"])
    assert sizes["gzip"] < sizes[None] / 3
    assert "content-encoding" not in httpx2.get(f"{house.url}/", headers={"Accept-Encoding": "gzip"}).headers
