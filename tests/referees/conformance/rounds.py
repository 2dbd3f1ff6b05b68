"""The suite's tools that need another round: they answer with what they want to know first (MCP 2026-07-28, InputRequiredResult)."""

from __future__ import annotations

from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.types import (
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequest,
    InputRequiredResult,
    ListRootsRequest,
    ListRootsResult,
    SamplingMessage,
    TextContent,
)

Ctx = Context[Any, Any]


def ask(message: str, name: str, kind: str = "string") -> InputRequest:
    schema = {"type": "object", "properties": {name: {"type": kind}}, "required": [name]}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def sample(text: str, tokens: int) -> InputRequest:
    question = SamplingMessage(role="user", content=TextContent(type="text", text=text))
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[question], max_tokens=tokens))


def need(state: str | None = None, /, **requests: InputRequest) -> InputRequiredResult:
    return InputRequiredResult(input_requests=requests, request_state=state)


def content(ctx: Ctx, key: str) -> dict[str, Any] | None:
    """What the person answered, if they accepted."""
    answer = (ctx.input_responses or {}).get(key)
    return dict(answer.content or {}) if isinstance(answer, ElicitResult) and answer.action == "accept" else None


async def test_input_required_result_elicitation(ctx: Ctx) -> str | InputRequiredResult:
    answered = content(ctx, "user_name")
    if not answered:
        return need(user_name=ask("What is your name?", "name"))
    return f"Hello, {answered['name']}!"


async def test_streaming_elicitation(ctx: Ctx) -> str | InputRequiredResult:
    return await test_input_required_result_elicitation(ctx)


async def test_input_required_result_sampling(ctx: Ctx) -> str | InputRequiredResult:
    answer = (ctx.input_responses or {}).get("capital_question")
    if not isinstance(answer, CreateMessageResult):
        return need(capital_question=sample("What is the capital of France?", 100))
    return answer.content.text if isinstance(answer.content, TextContent) else "no text"


async def test_input_required_result_list_roots(ctx: Ctx) -> str | InputRequiredResult:
    answer = (ctx.input_responses or {}).get("client_roots")
    if not isinstance(answer, ListRootsResult):
        return need(client_roots=ListRootsRequest())
    return "roots: " + ", ".join(str(root.uri) for root in answer.roots)


async def test_input_required_result_request_state(ctx: Ctx) -> str | InputRequiredResult:
    if ctx.request_state is None or content(ctx, "confirm") is None:
        return need("waiting", confirm=ask("Please confirm", "ok", "boolean"))
    return "state-ok" if ctx.request_state == "waiting" else "state-wrong"


async def test_input_required_result_tampered_state(ctx: Ctx) -> str | InputRequiredResult:
    return await test_input_required_result_request_state(ctx)


async def test_input_required_result_multiple_inputs(ctx: Ctx) -> str | InputRequiredResult:
    if ctx.request_state is None or len(ctx.input_responses or {}) < 3:
        return need(
            "three",
            user_name=ask("What is your name?", "name"),
            greeting=sample("Generate a greeting", 50),
            client_roots=ListRootsRequest(),
        )
    return "all three arrived"


async def test_input_required_result_multi_round(ctx: Ctx) -> str | InputRequiredResult:
    if ctx.request_state is None:
        return need("1", step1=ask("Step 1: What is your name?", "name"))
    if ctx.request_state == "1":
        name = (content(ctx, "step1") or {}).get("name", "")
        return need(f"2:{name}", step2=ask("Step 2: What is your favorite color?", "color"))
    color = (content(ctx, "step2") or {}).get("color", "")
    return f"{ctx.request_state[2:]} likes {color}"


async def test_input_required_result_capabilities(ctx: Ctx) -> str | InputRequiredResult:
    able = ctx.client_capabilities
    requests: dict[str, InputRequest] = {}
    if able is not None and able.sampling is not None:
        requests["greeting"] = sample("Generate a greeting", 50)
    if able is not None and able.elicitation is not None:
        requests["user_name"] = ask("What is your name?", "name")
    return need("asked", **requests)


async def test_input_required_result_prompt(ctx: Ctx) -> list[UserMessage] | InputRequiredResult:
    answered = content(ctx, "user_context")
    if not answered:
        return need(user_context=ask("What context should the prompt use?", "context"))
    return [UserMessage(f"Use this context: {answered['context']}")]


TOOLS = [
    test_input_required_result_elicitation,
    test_streaming_elicitation,
    test_input_required_result_sampling,
    test_input_required_result_list_roots,
    test_input_required_result_request_state,
    test_input_required_result_tampered_state,
    test_input_required_result_multiple_inputs,
    test_input_required_result_multi_round,
    test_input_required_result_capabilities,
]
PROMPTS = [test_input_required_result_prompt]


def furnish(server: MCPServer) -> None:
    """Everything above, under the names that the suite calls."""
    for function in TOOLS:
        server.add_tool(function, description=f"{function.__name__}, for the conformance suite")
    for prompt in PROMPTS:
        server.prompt(description="A prompt that asks first")(prompt)
