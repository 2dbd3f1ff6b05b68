"""Which database URLs are taken, as asyncpg and libpq take them, and what is said of the others: never a part of them."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from app.settings.read import SettingsError, load

SPECIAL, PORT = "needs the special characters of its password as %XX", "has a port that is no number"


def loaded(url: str) -> None:
    load(public_url="https://mcp.example", secret_key="k" * 32, database_url=SecretStr(url))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://host/name",
        "postgres://user@host",
        "postgresql+asyncpg://user:password@host:5432/name",
        "postgresql://user:p%2Fa%40s%23s%3F@host:5432/name?sslmode=require",
        "postgresql:///name?host=/run/postgresql",
        "postgresql:///name?host=@/run/postgresql&port=5433",
        "postgresql://user:password@/name?host=/run/one,/run/two&port=5432,5433",
        "postgresql://user:password@%2Frun%2Fpostgresql:5432/name",
        "postgresql://user:password@10.0.0.5:5432,10.0.0.6:5432,[fd00::7]:5432/name?target_session_attrs=primary",
        "postgresql://user:password@[::1]/name?application_name=a@b",
    ],
)
def test_a_database_that_can_be_asked(url: str) -> None:
    loaded(url)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("postgresql://user:s3/cret@host/name", SPECIAL),
        ("postgresql://user:33/cret@host:5432/name", SPECIAL),
        ("postgresql://user:s3?cret@host/name", SPECIAL),
        ("postgresql://user:s3#cret@host/name", SPECIAL),
        ("postgresql://user:s3@cret@host/name", SPECIAL),
        ("postgresql://user:s3@cre/t@host/name", SPECIAL),
        ("postgresql://user:s3[cret@host/name?x=#1", SPECIAL),
        ("postgresql://user:s3[cret@host/name", SPECIAL),
        ("postgresql://user:s3]cret@host/name", SPECIAL),
        ("postgresql://user:s3cret@host:abc/name", PORT),
        ("postgresql://user:s3cret@host:65536/name", PORT),
        ("postgresql://user:s3cret@host:5432,other:abc/name", PORT),
        ("postgresql://user:s3cret@[::1/name", PORT),
        ("postgresql:///name?port=abc", PORT),
        ("mysql://user:s3cret@host/name", "must start with postgresql://"),
        ("postgresql:host", "must start with postgresql://"),
        ("nonsense", "must start with postgresql://"),
    ],
)
def test_a_database_url_with_a_fault(url: str, why: str) -> None:
    with pytest.raises(SettingsError) as refused:
        loaded(url)
    assert f"GATEHOUSE_DATABASE_URL {why}" in str(refused.value)
    assert "s3" not in str(refused.value)
