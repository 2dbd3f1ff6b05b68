// The TypeScript SDK as a client of ours, told what to do by a JSON line each on standard input, answering with one each.
// Usage: node typescript.mjs 1|2 MCP_URL [URL of its client metadata document]. Version 2 is @modelcontextprotocol/client, version 1 @modelcontextprotocol/sdk.
import { randomUUID } from "node:crypto";
import { createInterface } from "node:readline";

const [generation, url, document] = process.argv.slice(2);
const REDIRECT = "http://127.0.0.1:3030/callback"; // nobody listens: the person brings the answer

async function library() {
  if (generation === "2") return await import("@modelcontextprotocol/client");
  const parts = ["client/index.js", "client/streamableHttp.js", "client/auth.js"];
  const modules = await Promise.all(parts.map((part) => import(`@modelcontextprotocol/sdk/${part}`)));
  return Object.assign({}, ...modules);
}

const { Client, StreamableHTTPClientTransport, UnauthorizedError, auth } = await library();

// What an application keeps: all that the SDK asks its OAuthClientProvider for.
class Provider {
  kept = {};
  opened = null;
  clientMetadataUrl = document; // what it is called where the server can fetch it, instead of registering
  get redirectUrl() {
    return REDIRECT;
  }
  get clientMetadata() {
    return {
      client_name: `TypeScript SDK ${generation}`,
      redirect_uris: [REDIRECT],
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"],
      token_endpoint_auth_method: "none",
    };
  }
  state() {
    return (this.kept.state = randomUUID());
  }
  clientInformation() {
    return this.kept.client;
  }
  saveClientInformation(client) {
    this.kept.client = client;
  }
  tokens() {
    return this.kept.tokens;
  }
  saveTokens(tokens) {
    this.kept.tokens = tokens;
  }
  redirectToAuthorization(address) {
    this.opened = String(address);
  }
  saveCodeVerifier(verifier) {
    this.kept.verifier = verifier;
  }
  codeVerifier() {
    return this.kept.verifier;
  }
  invalidateCredentials(what) {
    if (what === "all" || what === "client") delete this.kept.client;
    if (what === "all" || what === "tokens") delete this.kept.tokens;
  }
}

const provider = new Provider();
let transport = null;
let client = null;

async function connected(mode) {
  if (client) return client;
  transport = new StreamableHTTPClientTransport(new URL(url), { authProvider: provider });
  const fresh = new Client({ name: "referee", version: "1" }, mode ? { versionNegotiation: { mode } } : {});
  await fresh.connect(transport);
  return (client = fresh);
}

async function finish(address) {
  const answer = new URL(address).searchParams;
  if (answer.get("state") !== provider.kept.state) throw new Error("the state is not the one sent");
  // Version 2 checks iss itself when it is given the parameters (RFC 9207).
  transport ??= new StreamableHTTPClientTransport(new URL(url), { authProvider: provider });
  await transport.finishAuth(generation === "2" ? answer : answer.get("code"));
  provider.opened = null;
  return Object.keys(provider.kept.tokens).sort();
}

const actions = {
  list: async ({ mode }) => (await (await connected(mode)).listTools()).tools.map((tool) => tool.name),
  call: async ({ name, args, mode }) => await (await connected(mode)).callTool({ name, arguments: args ?? {} }),
  finish: async ({ address }) => await finish(address),
  authorize: async ({ scope }) => await auth(provider, { serverUrl: url, scope }),
  era: async () => client?.getNegotiatedProtocolVersion?.() ?? transport?.protocolVersion,
  kept: async () => provider.kept,
  restart: async () => {
    // A new process with the same disk.
    await client?.close();
    client = transport = null;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  let answer;
  try {
    answer = { ok: (await actions[command.do](command)) ?? null };
  } catch (fault) {
    answer = { error: `${fault.name}: ${fault.message}`, unauthorized: fault instanceof UnauthorizedError };
    if (!(fault instanceof UnauthorizedError)) client = null;
  }
  process.stdout.write(JSON.stringify({ ...answer, open: provider.opened }) + "\n");
}
process.exit(0);
