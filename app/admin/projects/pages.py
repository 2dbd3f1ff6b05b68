"""/admin/projects and /admin/projects/ID: whose public key agents come with, and what their sessions get."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from app.admin.entry import Visit, nothing_here
from app.admin.frame import done, query, shown, word
from app.admin.projects import acts
from app.agents.projects import may_have
from app.agents.store import Project
from app.language.catalogs import N_
from app.protocol.errors import Conflict, InvalidRequest, NotFound, OAuthError
from app.protocol.params import Params

HERE = "/admin/projects"
USUAL = {
    "name": "",
    "allowance_sats": "100",
    "session_sats": "50",
    "max_calls_per_minute": "60",
    "bits_floor": "18",
    "bits_ceiling": "20",
}


async def projects(visit: Visit, *, refusal: OAuthError | None = None, typed: Params | None = None) -> Response:
    """The list, and one more."""
    ended = query(visit).get("ended") == "yes"
    rows = [one for one in await acts.listed(visit.world) if (one.revoked_at is not None) == ended]
    return shown(
        visit,
        "admin_projects.html",
        refusal=refusal,
        rows=rows[:200],
        filters={"ended": "yes" if ended else None},
        entered=_entered(typed, USUAL),
        chosen=typed.all("scope") if typed else list(visit.world.resources.default.rules.baseline),
        scopes=_scopes(visit),
        fault="project" if refusal else None,
        lightning=visit.world.lightning is not None,
    )


async def project(visit: Visit, *, refusal: OAuthError | None = None, typed: Params | None = None) -> Response:
    try:
        found = await acts.known(visit.world, visit.request.path_params["project"])
    except NotFound as fault:
        raise nothing_here() from fault
    return shown(
        visit,
        "admin_project.html",
        refusal=refusal,
        project=found,
        path=f"{HERE}/{found.id}",
        entered=_entered(typed, _values(found)),
        chosen=typed.all("scope") if typed and "session_sats" in typed.names else list(found.scope),
        scopes=_scopes(visit),
        fault="project" if refusal and visit.request.url.path.endswith("/change") else None,
        issuer=visit.world.settings.issuer,
    )


async def add(visit: Visit, fields: Params) -> Response:
    made = await acts.add(visit.world, _wished(fields), visit.now)
    return done(f"{HERE}/{made.id}", "project-made")


async def change(visit: Visit, fields: Params) -> Response:
    await acts.change(visit.world, _which(visit), _wished(fields), visit.now)
    return _done(visit, "saved")


async def pause(visit: Visit, fields: Params) -> Response:
    await acts.pause(visit.world, _which(visit), visit.now)
    return _done(visit, "paused")


async def go_on(visit: Visit, fields: Params) -> Response:
    await acts.go_on(visit.world, _which(visit), visit.now)
    return _done(visit, "resumed")


async def remove(visit: Visit, fields: Params) -> Response:
    """Only with a tick, since nothing brings the project back."""
    if fields.get("sure") != "yes":
        raise Conflict(N_("tick the box to remove the project for good"))
    await acts.end(visit.world, _which(visit), visit.now)
    return done(HERE, "project-removed")


def _wished(fields: Params) -> dict[str, Any]:
    numbers = {name: _whole(fields, name) for name in USUAL if name != "name"}
    return {"name": word(fields, "name", 200) or "", "scope": " ".join(fields.all("scope")), **numbers}


def _whole(fields: Params, name: str) -> int:
    text = word(fields, name, 20) or ""
    if not (text.isascii() and text.isdigit() and len(text) < 17):
        raise InvalidRequest(N_("every number here is a whole one"))
    return int(text)


def _values(project: Project) -> dict[str, str]:
    return {name: str(getattr(project, name)) for name in USUAL}


def _entered(typed: Params | None, usual: dict[str, str]) -> dict[str, str]:
    """What was typed, where a form with these fields was sent."""
    if typed is None or "session_sats" not in typed.names:
        return usual
    return {name: word(typed, name, 200) or "" for name in usual}


def _scopes(visit: Visit) -> dict[str, str]:
    resource = visit.world.resources.default
    found = {name: resource.scopes[name] for name in sorted(may_have(resource))}
    return {name: scope.about or scope.words for name, scope in found.items()}


def _which(visit: Visit) -> str:
    return str(visit.request.path_params["project"])


def _done(visit: Visit, what: str) -> Response:
    return done(f"{HERE}/{_which(visit)}", what)
