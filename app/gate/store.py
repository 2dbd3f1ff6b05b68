"""SQL of the example tools' notes: every statement names the owner."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.db.engine import HotPool

NOTES = "SELECT id, text, created_at FROM notes WHERE user_id = $1 ORDER BY created_at DESC LIMIT 100"
ADD_NOTE = "INSERT INTO notes (id, user_id, text, created_at) VALUES ($1, $2, $3, $4)"
DELETE_NOTE = "DELETE FROM notes WHERE id = $1 AND user_id = $2 RETURNING id"


async def notes_of(pool: HotPool, user_id: str) -> list[Any]:
    rows: list[Any] = await pool.fetch(NOTES, user_id)
    return rows


async def add_note(pool: HotPool, identifier: str, user_id: str, text: str, now: datetime) -> None:
    await pool.execute(ADD_NOTE, identifier, user_id, text, now)


async def delete_note(pool: HotPool, identifier: str, user_id: str) -> bool:
    return await pool.fetchval(DELETE_NOTE, identifier, user_id) is not None
