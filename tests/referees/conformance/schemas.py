"""Schemas that the conformance suite wants to see arrive unchanged: JSON Schema 2020-12, defaults (SEP-1034), choices (SEP-1330)."""

from __future__ import annotations

from typing import Any

from mcp.server.mcpserver.tools import Tool
from pydantic import BaseModel, Field

# Keywords of JSON Schema 2020-12 that have to arrive at clients as they are.
ADDRESS = {
    "$anchor": "addressDef",
    "type": "object",
    "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
}
SCHEMA_2020_12: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {"address": ADDRESS},
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


class Username(BaseModel):
    username: str = Field(description="User's response")
    email: str = Field(description="User's email address")


class Defaults(BaseModel):
    name: str = "John Doe"
    age: int = 30
    score: float = 95.5
    status: str = Field("active", json_schema_extra={"enum": ["active", "inactive", "pending"]})
    verified: bool = True


def titled(*words: str) -> list[Any]:
    return [{"const": f"value{n}", "title": word} for n, word in enumerate(words, 1)]


OPTIONS: list[Any] = ["option1", "option2", "option3"]
LEGACY: dict[str, Any] = {"enum": ["opt1", "opt2", "opt3"], "enumNames": ["Option One", "Option Two", "Option Three"]}


class Choices(BaseModel):
    untitledSingle: str = Field(json_schema_extra={"enum": list(OPTIONS)})
    titledSingle: str = Field(json_schema_extra={"oneOf": list(titled("First", "Second", "Third"))})
    legacyEnum: str = Field(json_schema_extra={**LEGACY})
    untitledMulti: list[str] = Field(json_schema_extra={"items": {"type": "string", "enum": list(OPTIONS)}})
    titledMulti: list[str] = Field(json_schema_extra={"items": {"anyOf": list(titled("First", "Second", "Third"))}})


def schema_tool() -> Tool:
    """`json_schema_2020_12_tool`: its schema by hand, since no signature says all of it."""

    async def json_schema_2020_12_tool() -> str:
        return "ok"

    made = Tool.from_function(json_schema_2020_12_tool, description="Tool with JSON Schema 2020-12 features")
    return made.model_copy(update={"parameters": SCHEMA_2020_12})
