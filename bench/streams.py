"""An MCP server that does nothing but stream, for measurements: `python -m bench.streams PORT`.

A call of `whoami` is answered at once, as JSON. GET is a stream on which nothing happens. Any other POST answers, a moment after its
head, with one event that says when it was sent; with `length` among its parameters, with that many bytes of events."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time

import uvloop

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
ANSWER = b'{"jsonrpc":"2.0","id":1,"result":{"content":[],"structuredContent":{"user_id":"nobody"},"isError":false}}'
QUICK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(ANSWER), ANSWER)
FILLER = b": " + b"x" * 65_533 + b"\n"


async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"GET /readyz"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                continue
            if head.startswith(b"GET"):
                writer.write(HEAD)
                await reader.read()  # until the other side has had enough
                return
            await post(head, reader, writer)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def post(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    lowered = head.lower()
    begins = lowered.index(b"content-length:") + 15
    message = json.loads(await reader.readexactly(int(lowered[begins:].split(b"\r\n", 1)[0])))
    if message["params"]["name"] == "whoami":
        writer.write(QUICK)
        return
    writer.write(HEAD)
    for _ in range(message["params"].get("length", 0) // len(FILLER)):
        writer.write(b"%x\r\n%s\r\n" % (len(FILLER), FILLER))
        await writer.drain()
    await asyncio.sleep(random.uniform(0.005, 0.015))
    result = {"jsonrpc": "2.0", "id": message["id"], "result": {"at": time.perf_counter()}}
    event = f"data: {json.dumps(result)}\n\n".encode()
    writer.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(event), event))


async def serve(port: int) -> None:
    server = await asyncio.start_server(talk, "127.0.0.1", port, backlog=2000)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1])))
