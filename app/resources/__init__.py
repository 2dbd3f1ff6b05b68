"""The resources: which MCP servers stand behind the guard, each with its path, its scopes, its rules and its backend."""
