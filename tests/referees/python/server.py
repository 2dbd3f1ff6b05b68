"""A server on fastmcp, run by a Python of its own: `python server.py PORT`."""
# mypy: ignore-errors

import sys

from fastmcp import Context, FastMCP
from fastmcp.server.dependencies import get_http_headers

mcp = FastMCP("fast")


@mcp.tool
def add(a: int, b: int) -> int:
    """The sum."""
    return a + b


@mcp.tool
async def slow(steps: int, ctx: Context) -> str:
    """Says how far it is."""
    for step in range(steps):
        await ctx.report_progress(step + 1, steps)
    return "slowly"


@mcp.tool
def credentials() -> str:
    """Every header that arrived."""
    return str(get_http_headers(include_all=True))


mcp.run(transport="http", host="127.0.0.1", port=int(sys.argv[1]), show_banner=False)
