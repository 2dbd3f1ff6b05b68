"""Tools `service_profile` and `service_email`: what a connected service says of its user, as an example of acting elsewhere."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from app.gate.tool import Caller, tool

Service = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$", description="Its name here, such as github.")]


class Profile(BaseModel):
    """`said` is as the service has it."""

    service: str
    scopes: list[str]
    said: Any


class Email(BaseModel):
    """Empty when the service names no address."""

    service: str
    email: str


@tool(scope="read")
async def service_profile(caller: Caller, service: Service) -> Profile:
    """Tells who you are at a service that you have connected."""
    account = await caller.upstream(service)
    return Profile(service=service, said=await account.profile(), scopes=list(account.scope))


@tool(scope="read")
async def service_email(caller: Caller, service: Service) -> Email:
    """Tells your e-mail address at a service that you have connected; it is asked for that first, if it has not been yet."""
    account = await caller.upstream(service, "email")
    said = await account.profile()
    found = said.get("email") if isinstance(said, dict) else None
    return Email(service=service, email=found if isinstance(found, str) else "")
