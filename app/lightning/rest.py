"""A node's HTTP interface: JSON in time, or a NodeFault; certificates pinned where the operator names one."""

from __future__ import annotations

import ssl
from typing import Any

import httpx2

from app.lightning.node import NodeFault

SECONDS = 15.0
MOST_BYTES = 256 * 1024


class Rest:
    """One connection pool for one node."""

    def __init__(self, address: str, headers: dict[str, str], cert: str | None = None) -> None:
        verify = ssl.create_default_context(cafile=cert) if address.startswith("https:") else False
        self._http = httpx2.AsyncClient(
            base_url=address, headers=headers, timeout=SECONDS, verify=verify, follow_redirects=False, trust_env=False
        )

    async def call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """The JSON object of its answer; an empty one for 404. Raises NodeFault."""
        try:
            async with self._http.stream(method, path, **options) as response:
                body = b""
                async for part in response.aiter_bytes():
                    body += part
                    if len(body) > MOST_BYTES:
                        raise NodeFault("the node's answer is too long")
                response._content = body
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as fault:
            raise NodeFault(f"the node does not answer: {type(fault).__name__}") from None
        if response.status_code == 404:
            return {}
        if response.status_code >= 300:
            raise NodeFault(f"the node answers {response.status_code}")
        try:
            value = response.json()
        except ValueError:
            raise NodeFault("the node's answer is not JSON") from None
        if not isinstance(value, dict):
            raise NodeFault("the node's answer is no object")
        return value

    async def close(self) -> None:
        await self._http.aclose()


def text_of(answer: dict[str, Any], name: str) -> str:
    """Raises NodeFault when it is not there, or no text."""
    value = answer.get(name)
    if not isinstance(value, str) or not value:
        raise NodeFault(f"the node's answer has no {name}")
    return value


def preimage_of(value: object) -> bytes:
    """Of hex. Raises NodeFault: a node that says it was paid must show what only the payment reveals."""
    try:
        raw = bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise NodeFault("the node says paid, and shows no preimage")
    return raw
