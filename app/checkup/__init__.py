"""An MCP server's front door, looked at from outside as a client would: `gatehouse doctor URL`. It knows none of our settings."""
