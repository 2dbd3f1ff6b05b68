"""Which scenarios of the suite say something about which server of ours, and why the others do not."""

from __future__ import annotations

from dataclasses import dataclass, field

LATEST = "conformance-stable"  # 0.1.16, npm's `latest`
ALPHA = "@modelcontextprotocol/conformance"  # 0.2.0-alpha.12: both wire eras, authorization servers, wire schemas

HANDSHAKE = ("2025-06-18", "2025-11-25")
STATELESS = "2026-07-28"

STREAMS = "its server talks to the client in mid-call, over an event stream; we answer with JSON"
NO_LEVELS = "levels and subscriptions need a session; we have none"
ON_STREAMS = dict.fromkeys(
    (
        "tools-call-with-logging",
        "tools-call-with-progress",
        "tools-call-sampling",
        "tools-call-elicitation",
        "elicitation-sep1034-defaults",
        "elicitation-sep1330-enums",
    ),
    STREAMS,
) | dict.fromkeys(("logging-set-level", "resources-subscribe", "resources-unsubscribe"), NO_LEVELS)
EVERYWHERE = {
    "server-sse-polling": "needs GET to resume a stream; the guard answers 405 (the suite calls it pending)",
}
NO_SUCH_TOOL = "passes without its tool, so it says nothing here; it is run on the example tools"

# What has to have been reached behind the guard for a scenario to count, where its name does not give it away.
REACHED = {
    "tools-call-simple-text": "test_simple_text",
    "tools-call-image": "test_image_content",
    "tools-call-audio": "test_audio_content",
    "tools-call-embedded-resource": "test_embedded_resource",
    "tools-call-mixed-content": "test_multiple_content_types",
    "tools-call-with-logging": "test_tool_with_logging",
    "tools-call-error": "test_error_handling",
    "tools-call-with-progress": "test_tool_with_progress",
    "tools-call-sampling": "test_sampling",
    "tools-call-elicitation": "test_elicitation",
    "elicitation-sep1034-defaults": "test_elicitation_sep1034_defaults",
    "elicitation-sep1330-enums": "test_elicitation_sep1330_enums",
    "resources-read-text": "test://static-text",
    "resources-read-binary": "test://static-binary",
    "resources-templates-read": "test://template/123/data",
    "prompts-get-simple": "test_simple_prompt",
    "prompts-get-with-args": "test_prompt_with_arguments",
    "prompts-get-embedded-resource": "test_prompt_with_embedded_resource",
    "prompts-get-with-image": "test_prompt_with_image",
    "http-custom-header-server-validation": "test_custom_header",
    "server-stateless": "test_missing_capability",
    "input-required-result-basic-elicitation": "test_input_required_result_elicitation",
    "input-required-result-result-type": "test_input_required_result_elicitation",
    "input-required-result-missing-input-response": "test_input_required_result_elicitation",
    "input-required-result-ignore-extra-params": "test_input_required_result_elicitation",
    "input-required-result-validate-input": "test_input_required_result_elicitation",
    "input-required-result-basic-sampling": "test_input_required_result_sampling",
    "input-required-result-basic-list-roots": "test_input_required_result_list_roots",
    "input-required-result-request-state": "test_input_required_result_request_state",
    "input-required-result-multiple-input-requests": "test_input_required_result_multiple_inputs",
    "input-required-result-multi-round": "test_input_required_result_multi_round",
    "input-required-result-non-tool-request": "test_input_required_result_prompt",
    "input-required-result-tampered-state": "test_input_required_result_tampered_state",
    "input-required-result-capability-check": "test_input_required_result_capabilities",
}


@dataclass(frozen=True, slots=True)
class Target:
    """A server of ours, as the suite is to judge it."""

    title: str
    only: frozenset[str] | None  # the scenarios that say something about it; None: all of them
    elsewhere: dict[str, str] = field(default_factory=dict)  # scenario or scenario:check, and why it does not apply
    reached: dict[str, str] = field(default_factory=dict)

    def why_not(self, scenario: str) -> str | None:
        """Why this scenario cannot say anything about this server."""
        if self.only is not None and scenario not in self.only:
            return "tests example tools that our own server does not have; see the servers below"
        return (EVERYWHERE | self.elsewhere).get(scenario)


OWN = Target(
    "`gatehouse up`, its own tools",
    frozenset(
        {
            "server-initialize",
            "ping",
            "tools-list",
            "server-stateless",
            "server-sse-multiple-streams",
            "sep-2164-resource-not-found",
            "dns-rebinding-protection",
            "caching",
            "http-header-validation",
            "server-session-lifecycle",
        }
    ),
    {
        "server-stateless:sep-2575-server-rejects-undeclared-capability": "none of our tools asks its client for anything",
        "server-stateless:sep-2575-missing-capability-http-400": "none of our tools asks its client for anything",
        "server-stateless:sep-2575-http-server-no-independent-requests-on-stream": NO_SUCH_TOOL,
        "server-stateless:sep-2575-server-no-log-without-loglevel": NO_SUCH_TOOL,
    },
)
SHIPPED = Target("the suite's example tools behind our guard, on our transport", None, ON_STREAMS, REACHED)
STREAMING = Target("the suite's example tools behind our guard, with sessions and event streams", None, {}, REACHED)
