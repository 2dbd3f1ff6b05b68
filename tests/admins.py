"""An admin at their pages and their JSON API, speaking nothing but HTTP."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.actors import Browser, Page, http
from tests.conftest import House


class AdminBrowser(Browser):
    """Signed in as an admin, ada@example.com unless told otherwise."""

    def __init__(self, house: House, email: str = "ada@example.com") -> None:
        super().__init__(house.url)
        self.sign_in(email=email)

    def press(self, page: str, action: str, /, **fields: str) -> Page:
        """Opens a page, and sends the form on it that leads to `action`."""
        shown = self.open(page)
        assert f'action="{action}"' in shown.text, f"no form for {action} on {page}:\n{shown.text}"
        return self.send(action, csrf=shown.field("csrf"), **fields)

    def once(self, page: str, action: str, shown_as: str, /, **fields: str) -> str:
        """The secret that is shown once after a form was sent; what is shown has an id of this name."""
        shown = self.press(page, action, **fields)
        found = re.search(rf'id="{shown_as}"[^>]* value="([^"]*)"', shown.text)
        assert found, shown.text
        assert found[1] not in self.open(shown.url).text, "it is shown once"
        return found[1]


@dataclass
class Api:
    """The JSON API, by an API key with the scope admin."""

    house: House
    key: str
    http: httpx2.Client = field(default_factory=http)

    def __call__(self, method: str, path: str, status: int = 200, **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.key}"} | options.pop("headers", {})
        answer = self.http.request(method, f"{self.house.url}/admin/api{path}", headers=headers, **options)
        assert answer.status_code == status, f"{answer.status_code} {answer.text}"
        return answer.json() if answer.content else None


def admin_key(house: House, email: str = "ada@example.com", scope: str = "admin") -> str:
    return house.operator("api-key", "add", "admin", "--user", email, "--scope", scope, "--quiet").strip()


def events(house: House, event: str) -> list[tuple[object, ...]]:
    """Whom the events of this kind concern, oldest first."""
    return house.sql(
        "SELECT user_id, client_id, detail FROM audit_events WHERE event = :event ORDER BY id", event=event
    )
