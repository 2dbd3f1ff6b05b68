// A server on the TypeScript SDK with sessions, streams and resumption: `node stateful.mjs`, which prints its port.
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { z } from "zod";

const sessions = new Map();
const given_up = [];
const seen = [];

class Events {
  kept = [];
  async storeEvent(stream, message) {
    this.kept.push([`${stream}_${this.kept.length}`, stream, message]);
    return this.kept.at(-1)[0];
  }
  async replayEventsAfter(last, { send }) {
    const at = this.kept.findIndex(([id]) => id === last);
    const stream = this.kept[at]?.[1] ?? "";
    for (const [id, of, message] of this.kept.slice(at + 1)) if (of === stream) await send(id, message);
    return stream;
  }
}

const said = (text) => ({ content: [{ type: "text", text: String(text) }] });
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

function server(id) {
  const mcp = new McpServer({ name: "stateful", version: "1" }, { capabilities: { logging: {}, tools: { listChanged: true } } });
  let calls = 0;
  mcp.registerTool("calls", { description: "How often this session has asked" }, async () => said(++calls));
  mcp.registerTool("steps", { description: "Progress and log", inputSchema: { steps: z.number() } }, async ({ steps }, extra) => {
    const progressToken = extra._meta?.progressToken;
    for (let step = 1; step <= steps; step++) {
      if (progressToken !== undefined)
        await extra.sendNotification({ method: "notifications/progress", params: { progressToken, progress: step, total: steps } });
      await extra.sendNotification({ method: "notifications/message", params: { level: "info", data: `step ${step}` } });
      await pause(20);
    }
    return said("done");
  });
  mcp.registerTool("wait", { description: "Until it is given up" }, async (extra) => {
    await new Promise((done) => extra.signal.addEventListener("abort", done));
    given_up.push(id());
    return said("given up");
  });
  mcp.registerTool("given_up", { description: "How often this session gave up" }, async () => said(given_up.filter((one) => one === id()).length));
  mcp.registerTool("announce", { description: "On the session's own stream" }, async () => {
    await mcp.server.sendToolListChanged();
    return said("announced");
  });
  mcp.registerTool("later", { description: "The answer is given when its stream has been closed" }, async (extra) => {
    extra.closeSSEStream?.();
    await pause(300);
    return said("at last");
  });
  return mcp;
}

const http = createServer(async (request, response) => {
  seen.push(request.headers);
  const id = request.headers["mcp-session-id"];
  let transport = sessions.get(id);
  if (!transport) {
    if (id) return response.writeHead(404).end("no such session");
    transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: () => randomUUID(),
      eventStore: new Events(),
      retryInterval: 50,
      onsessioninitialized: (made) => sessions.set(made, transport),
      onsessionclosed: (ended) => sessions.delete(ended),
    });
    await server(() => transport.sessionId).connect(transport);
  }
  await transport.handleRequest(request, response);
});
http.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: http.address().port })));
process.stdin.resume().on("end", () => process.exit(0));
