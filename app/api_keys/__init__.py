"""API keys: made and revoked by their owner, traded for a token at /auth/token, or sent to /mcp as they are."""
