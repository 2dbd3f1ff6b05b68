"""The addresses of the seed's seven calls and its demo, to be put in the URL table."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.routing import Route
from starlette.types import ASGIApp

from app.agents import demo, pages, start
from app.agents.confirm import confirm
from app.agents.hint import hint
from app.agents.refresh import refresh
from app.agents.spend import charging, telling
from app.api_keys.callers import Callers
from app.metering.till import Till
from app.web.http import Door
from app.web.pages import page_refusal
from app.work.pressure import Pressure
from app.world import World


def addresses(world: World, callers: Callers) -> Mapping[str, ASGIApp]:
    return {
        "/api/mcp/start": Door(world, cors=True, POST=start.starting(Pressure(world.pool))),
        "/api/mcp/confirm": Door(world, cors=True, POST=confirm),
        "/api/mcp/charge": Door(world, cors=True, POST=charging(callers, Till(world.pool))),
        "/api/mcp/usage": Door(world, cors=True, GET=telling(callers)),
        "/api/mcp/refresh": Door(world, cors=True, POST=refresh),
        "/api/public/demo/start": Door(world, cors=True, POST=demo.start),
        "/api/public/demo/confirm": Door(world, cors=True, POST=demo.confirm),
        "/api/public/demo/pay": Door(world, cors=True, POST=demo.pay),
        "/work": Door(world, page_refusal, GET=pages.work),
        "/pay": Door(world, page_refusal, GET=pages.pay, POST=pages.offer),
        "/pay/look": Door(world, page_refusal, POST=pages.look),
        "/pay/pretend": Door(world, page_refusal, POST=pages.pretend),
        "/api/public/lightning/hint": Door(world, POST=hint),
    }


def patterns(world: World) -> list[Route]:
    return [
        Route("/api/mcp/status/{quote_id}", Door(world, cors=True, GET=start.status)),
        Route("/api/mcp/lnurl/{quote_id}", Door(world, cors=True, GET=start.lnurl)),
    ]
