"""What the routes of the admin API share: who calls, what they sent, where a list goes on."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from fastapi import Query, Request
from pydantic import BaseModel, ValidationError

from app.admin.api.models import Refusal
from app.admin.entry import Caller
from app.admin.frame import UNSAFE
from app.protocol.errors import InvalidRequest
from app.web.http import json_body

Wish = TypeVar("Wish", bound=BaseModel)
Words = Annotated[str | None, Query(max_length=500)]
After = Annotated[str | None, Query(max_length=4000, description="From `after` of the page before.")]
REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Refusal, "description": "The request is not well-formed."},
    401: {"model": Refusal, "description": "Nobody is signed in, or the token is not valid."},
    403: {
        "model": Refusal,
        "description": "The token lacks the scope admin, or the sign-in is too old to change anything.",
    },
    404: {"model": Refusal, "description": "There is no such thing, or not for this user."},
    409: {"model": Refusal, "description": "This does not go with how things stand."},
}


def caller(request: Request) -> Caller:
    """Whom the door of the API let in."""
    found: Caller = request.state.caller
    return found


async def wish(request: Request, model: type[Wish]) -> Wish:
    """The body, checked; read with the limits that all bodies here have. Raises InvalidRequest."""
    try:
        return model.model_validate(await json_body(request, caller(request).world))
    except ValidationError as fault:
        raise unwell(fault.errors()[0]) from fault


def unwell(error: Any) -> InvalidRequest:
    """The first fault of a validation, as a refusal."""
    where = ".".join(str(part) for part in error["loc"] if part != "query")
    return InvalidRequest(f"{where or 'the body'}: {error['msg']}"[:300])


def body(model: type[BaseModel]) -> dict[str, Any]:
    """How /openapi.json describes a body that `wish` reads."""
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


def plain(text: str | None) -> str | None:
    """What is searched for, in characters that can be stored."""
    return UNSAFE.sub("", text).strip() or None if text is not None else None
