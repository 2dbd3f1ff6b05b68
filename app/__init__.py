"""Gatehouse: a self-hosted OAuth 2.1 authorization server and a guarded /mcp, in one process with Postgres.

`urls.py` holds the URL table. `protocol/` is the wire as pure functions; `tokens/` is the waist (issue, verify);
`clients/`, `connections/`, `oauth/`, `users/`, `api_keys/` are the rooms above it; `gate/` stands in front of the tools.
"""

__version__ = "0.1.0"
