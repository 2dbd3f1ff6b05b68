"""What shuts clients out elsewhere, by symptom, and the test that it does not here: for docs/clients.md."""

from __future__ import annotations

# Symptom, cause, where it was reported, test.
BREAKERS: list[tuple[str, str, str, str]] = [
    (
        "Claude: sign-in completes, the token is never used",
        "a redirect from `/mcp/` to `/mcp` that drops the Authorization header",
        "anthropics/claude-ai-mcp#690, #878",
        "tests/clients/test_quirks.py::test_a_token_is_good_however_the_address_was_spelt",
    ),
    (
        "Claude: sign-in completes, the token is never used",
        "the resource's metadata at one of its two addresses only",
        "anthropics/claude-ai-mcp#566, #690",
        "tests/rfc/test_rfc8414_metadata.py::test_every_spelling_of_the_addresses_answers",
    ),
    (
        "Claude goes to `/authorize` of the MCP origin and finds nothing",
        "no metadata at the path form; the addresses of 2025-03-26 are guessed",
        "anthropics/claude-ai-mcp#716, #82, #827",
        "tests/clients/test_quirks.py::test_no_discovery_at_all",
    ),
    (
        "401 after a sign-in that went well",
        "the token's audience is another spelling of the address",
        "anthropics/claude-ai-mcp#299",
        "tests/clients/test_quirks.py::test_a_token_is_good_however_the_address_was_spelt",
    ),
    (
        "Claude and Codex register although documents are taken",
        "`none` is not advertised",
        "anthropics/claude-ai-mcp#1043",
        "tests/clients/test_each_client.py::test_claude_ai",
    ),
    (
        "invalid redirect_uri, consent again and again",
        "ports on loopback compared",
        "anthropics/claude-code#37747, #42301; google-gemini/gemini-cli#7465",
        "tests/clients/test_quirks.py::test_another_port_under_an_old_client_id",
    ),
    (
        "Cursor cannot register",
        "`cursor://` refused, or one of its three redirects",
        "laravel/mcp#173, better-auth/better-auth#10946",
        "tests/clients/test_each_client.py::test_cursor",
    ),
    (
        "Codex refuses the answer",
        "`iss` advertised and not sent",
        "cloudflare/mcp-server-cloudflare#449",
        "tests/clients/test_each_client.py::test_codex",
    ),
    (
        "issuer mismatch in the SDKs",
        "a slash at the end of the issuer",
        "modelcontextprotocol/python-sdk#1919",
        "tests/rfc/test_rfc8414_metadata.py::test_the_issuer_is_one_string_everywhere",
    ),
    (
        "signed out now and then",
        "parallel processes refresh one token, and its reuse is taken for theft at once",
        "anthropics/claude-code#85236, PrefectHQ/fastmcp#4264, openai/codex#46028",
        "tests/clients/test_quirks.py::test_parallel_processes_refresh_the_same_token",
    ),
    (
        "asked for more scope for ever",
        "the 403 does not name the scopes that were granted before",
        "anthropics/claude-ai-mcp#931, anthropics/claude-code#44652",
        "tests/rfc/test_rfc6750_bearer.py::test_a_read_token_reads_and_nothing_else",
    ),
    (
        "400 for Claude Code at `/mcp`",
        "`MCP-Protocol-Version` said twice",
        "lowdefy#2345, different-ai/openwork#3944",
        "tests/clients/test_quirks.py::test_doubled_protocol_version",
    ),
    (
        "400 for Claude Code at `/mcp`",
        "the handshake era's header over a stateless body",
        "anthropics/claude-code#93290",
        "tests/clients/test_quirks.py::test_handshake_header_over_a_stateless_body",
    ),
    (
        "ChatGPT: registration failed",
        "`refresh_token` is missing in the grant types of the answer",
        "clerk/mcp-tools#19",
        "tests/clients/test_each_client.py::test_chatgpt_registers",
    ),
    (
        "stuck with a client_id that was deleted",
        "not 401 `invalid_client` at `/token`",
        "anthropics/claude-code#4760, supabase/mcp#355",
        "tests/clients/test_quirks.py::test_deleted_client",
    ),
    (
        "stuck with a client_id that was deleted",
        "a page at `/authorize` that does not say what to do",
        "microsoft/vscode#250960, openai/codex#29630",
        "tests/clients/test_reset_steps.py::test_the_app_is_known_by_where_it_wants_to_be_answered",
    ),
    (
        "a code wasted, a state lost",
        "`GET /authorize` does something, and is fetched twice",
        "fastmcp 4.1.0",
        "tests/clients/test_quirks.py::test_authorize_fetched_twice",
    ),
]
