"""`gatehouse connect`: a stdio MCP server that is a client of a remote one. It knows nothing of the server in this package."""
