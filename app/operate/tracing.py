"""OpenTelemetry where it is switched on (gatehouse-mcp[otel]): a span for each request and each SQL statement (W3C Trace Context, OTLP)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from sqlalchemy import event
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.asking import Trace
from app.web.edge import QUIET
from app.world import World

CARRIERS = (b"traceparent", b"tracestate")


@asynccontextmanager
async def traced(app: ASGIApp, world: World) -> AsyncIterator[ASGIApp]:
    """`app`, with a span around every request. Where to is said by the environment (OTEL_EXPORTER_OTLP_ENDPOINT and the like)."""
    resource = Resource.create()
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: "gatehouse"}))
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)  # for the MCP SDK's own spans, too
    tracer = provider.get_tracer("gatehouse")
    _watch_pool(world.pool)
    _watch_engine(world.db, tracer)
    try:
        yield Requests(app, tracer)
    finally:
        await asyncio.to_thread(provider.shutdown)  # what is left goes out


class Requests:
    """The outermost ASGI app while traces are on: the id of a request is that of its span."""

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer
        self._propagator = TraceContextTextMapPropagator()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in QUIET:
            await self._app(scope, receive, send)
            return
        came = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in CARRIERS}
        span = self._tracer.start_span(scope["method"], self._propagator.extract(came), SpanKind.SERVER)
        state = scope.setdefault("state", {})
        state["span"] = _ids(span, given="traceparent" in came)
        span.set_attributes({"http.request.method": scope["method"], "url.path": scope["path"][:200]})

        async def seen(message: Message) -> None:
            if message["type"] == "http.response.start":
                span.set_attribute("http.response.status_code", message["status"])
                if message["status"] >= 500:
                    span.set_status(StatusCode.ERROR)
            await send(message)

        with trace.use_span(span, end_on_exit=True, record_exception=False):
            try:
                await self._app(scope, receive, seen)
            finally:
                route = state.get("route", "other")
                span.update_name(f"{scope['method']} {route}")
                span.set_attribute("http.route", route)


def _ids(span: Span, *, given: bool) -> tuple[str, Trace]:
    """As the edge knows them: the request's, and what it is a part of."""
    context = span.get_span_context()
    part = Trace(trace.format_trace_id(context.trace_id), f"{context.trace_flags:02x}", given)
    return trace.format_span_id(context.span_id), part


class _Watched:
    """What is put before the class of the pool: a span around each statement of a request, without its values. What nobody's
    request asks, such as the sweep, has none."""

    async def ask(self, how: Any, query: str, *values: Any, **options: Any) -> Any:
        with _statement(query):
            return await super().ask(how, query, *values, **options)  # type: ignore[misc]


def _watch_pool(pool: Any) -> None:
    """Every room holds this very pool, so it becomes another one where it stands."""
    pool.__class__ = type("WatchedPool", (_Watched, type(pool)), {})


def _statement(query: str) -> AbstractContextManager[Any]:
    if not trace.get_current_span().is_recording():
        return nullcontext()
    tracer = trace.get_tracer("gatehouse")
    return tracer.start_as_current_span(_name(query), kind=SpanKind.CLIENT, attributes=_about(query))


def _watch_engine(db: Any, tracer: Tracer) -> None:
    """The statements of SQLAlchemy, by its events."""

    def before(_c: Any, _cursor: Any, query: str, _values: Any, context: Any, _many: bool) -> None:
        if trace.get_current_span().is_recording():
            context.gatehouse_span = tracer.start_span(_name(query), kind=SpanKind.CLIENT, attributes=_about(query))

    def after(_c: Any, _cursor: Any, _query: str, _values: Any, context: Any, _many: bool) -> None:
        _ended(context)

    def failed(fault: Any) -> None:
        _ended(fault.execution_context, StatusCode.ERROR)

    event.listen(db.sync_engine, "before_cursor_execute", before)
    event.listen(db.sync_engine, "after_cursor_execute", after)
    event.listen(db.sync_engine, "handle_error", failed)


def _ended(context: Any, status: StatusCode | None = None) -> None:
    span = getattr(context, "gatehouse_span", None)
    if span is not None:
        if status is not None:
            span.set_status(status)
        span.end()
        context.gatehouse_span = None


def _name(query: str) -> str:
    return query.split(None, 1)[0].upper() if query.strip() else "SQL"


def _about(query: str) -> dict[str, str]:
    return {"db.system.name": "postgresql", "db.query.text": " ".join(query.split())[:2000]}
