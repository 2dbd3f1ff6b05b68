"""The gate in front of the tools: the guard, the rules of each tool, the MCP server behind them, the tools themselves."""
