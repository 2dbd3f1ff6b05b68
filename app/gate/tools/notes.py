"""Tools `list_notes`, `add_note`, `delete_note`: each caller's own notes, as an example of reading and writing."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from app.gate import store
from app.gate.tool import Caller, tool
from app.tokens.secrets import new_id

Text = Annotated[str, Field(min_length=1, max_length=10_000, description="What the note says.")]
NoteId = Annotated[str, Field(pattern=r"^note_[0-9a-f]{24}$", description="The id that list_notes shows.")]


class Note(BaseModel):
    """One note; `created_at` as RFC 3339 in UTC."""

    id: str
    text: str
    created_at: str


@tool(scope="read")
async def list_notes(caller: Caller) -> list[Note]:
    """Lists your notes, newest first, at most 100."""
    rows = await store.notes_of(caller.world.pool, caller.principal.subject)
    return [Note(id=row["id"], text=row["text"], created_at=row["created_at"].isoformat()) for row in rows]


@tool(scope="write")
async def add_note(caller: Caller, text: Text) -> Note:
    """Writes a new note."""
    now = caller.world.now()
    identifier = new_id("note")
    clean = text.replace("\0", "")
    await store.add_note(caller.world.pool, identifier, caller.principal.subject, clean, now)
    return Note(id=identifier, text=clean, created_at=now.isoformat())


@tool(scope="write")
async def delete_note(caller: Caller, note_id: NoteId) -> bool:
    """Deletes one of your notes. False when you have no such note."""
    return await store.delete_note(caller.world.pool, note_id, caller.principal.subject)
