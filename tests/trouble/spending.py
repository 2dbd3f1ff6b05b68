"""Callers who charge one budget while there is trouble, repeat what was not answered, and remember what was."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Any, Protocol

from app.tokens.secrets import API_KEY, fingerprint, new_id, new_secret
from tests.actors import http
from tests.staged.purse import OPEN
from tests.trouble.gatehouse import assert_bearable

FUNDED = 1_000_000  # sats
FORGOTTEN = "a charge that was answered is not there"


class Database(Protocol):
    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]: ...


class Spender(threading.Thread):
    """Charges one sat after the other, each with a key of its own, and repeats what was not answered with the same key."""

    def __init__(self, url: str, api_key: str, name: str) -> None:
        super().__init__(daemon=True)
        self._url, self._headers, self._name = url, {"Authorization": f"Bearer {api_key}"}, name
        self.answered: list[str] = []
        self.fault: BaseException | None = None
        self.goes_on = True

    def run(self) -> None:
        try:
            for number in count():
                while self.goes_on and not self._charged(f"{self._name}-{number}"):
                    pass
                if not self.goes_on:
                    return
        except BaseException as fault:
            self.fault = fault

    def _charged(self, key: str) -> bool:
        body = {"callCostSats": 1, "idempotencyKey": key}
        answer = http().post(f"{self._url}/api/mcp/charge", json=body, headers=self._headers)
        assert_bearable(answer, 200)
        if answer.status_code == 200:
            assert answer.json()["status"] == "ok", answer.text
            self.answered.append(key)
        return answer.status_code == 200


class Spending:
    """A budget of its own, and its callers at work until `stop`."""

    def __init__(self, url: str, database: Database, callers: int) -> None:
        self._database, self._budget, api_key = database, new_id("key"), new_secret(API_KEY)
        database.sql(OPEN, self._budget, fingerprint(api_key), 0, FUNDED, datetime.now(UTC))
        self._spenders = [Spender(url, api_key, f"caller-{number}") for number in range(callers)]
        for spender in self._spenders:
            spender.start()

    def under_way(self, charges: int) -> bool:
        return all(len(spender.answered) > charges for spender in self._spenders)

    def told(self) -> set[str]:
        """Which charges were answered."""
        return {key for spender in self._spenders for key in list(spender.answered)}

    def written(self) -> list[str]:
        """The keys of all charges that are in the database, as their callers named them."""
        rows = self._database.sql("SELECT key FROM charges WHERE budget_id = $1", self._budget)
        return [key.removeprefix("own:") for (key,) in rows]

    def stop(self) -> None:
        for spender in self._spenders:
            spender.goes_on = False
        for spender in self._spenders:
            spender.join(30)
            if spender.fault is not None:
                raise spender.fault

    def faults(self) -> Iterator[str]:
        """What was answered and is not there, or is there more than once; nobody is at work any longer."""
        keys = self.written()
        if self.told() - set(keys):
            yield FORGOTTEN
        if len(set(keys)) != len(keys):
            yield "one charge was made twice"
        ((left,),) = self._database.sql("SELECT funded_sats FROM budgets WHERE id = $1", self._budget)
        if left != FUNDED - len(keys):
            yield "the budget is short of what is in the books"
