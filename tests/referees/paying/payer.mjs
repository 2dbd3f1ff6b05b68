// Other people's clients pay what they are asked to: Alby's fetch402, and mppx over HTTP and over MCP. One job in argv; the wallet
// is the test: `{"pay": invoice}` goes out, `{"preimage": hex}` comes back. The last line is what the client got.
import { createInterface } from 'node:readline'
import { fetch402, fetchWithL402, fetchWithMpp, fetchWithX402 } from '@getalby/lightning-tools/402'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { Credential, Method, z } from 'mppx'
import { Mppx } from 'mppx/client'
import { McpClient } from 'mppx/mcp/client'

const job = JSON.parse(process.argv[2])
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const say = (what) => process.stdout.write(JSON.stringify(what) + '\n')
let paid = 0

const wallet = {
  payInvoice: async ({ invoice }) => {
    paid += 1
    say({ pay: invoice })
    return JSON.parse((await lines.next()).value)
  },
}

const lightning = Method.toClient(
  Method.from({
    name: 'lightning',
    intent: 'charge',
    schema: {
      credential: { payload: z.object({ preimage: z.string() }) },
      request: z.object({ amount: z.string(), currency: z.string(), methodDetails: z.object({ invoice: z.string() }) }),
    },
  }),
  {
    createCredential: async ({ challenge }) => {
      const { preimage } = await wallet.payInvoice({ invoice: challenge.request.methodDetails.invoice })
      return Credential.serialize(Credential.from({ challenge, payload: { preimage } }))
    },
  },
)

const told = async (response) => ({
  status: response.status,
  headers: Object.fromEntries(response.headers),
  body: await response.text(),
  paid,
})

const clients = {
  alby: async () => {
    const by = { any: fetch402, l402: fetchWithL402, mpp: fetchWithMpp, x402: fetchWithX402 }[job.by]
    const first = await by(job.url, structuredClone(job.init), { wallet })
    const answer = await told(first)
    if (!job.again) return answer
    // With what it has paid before, as its users keep it; it never pays twice for this.
    const second = await by(job.url, structuredClone(job.init), { wallet, credentials: first.payment.credentials })
    return { ...answer, again: await told(second) }
  },
  'mppx-http': async () => {
    const { fetch } = Mppx.create({ methods: [lightning], polyfill: false })
    return told(await fetch(job.url, job.init))
  },
  'mppx-mcp': async () => {
    const client = new Client({ name: 'payer', version: '1' })
    const headers = job.token ? { Authorization: `Bearer ${job.token}` } : {}
    await client.connect(new StreamableHTTPClientTransport(new URL(job.url), { requestInit: { headers } }))
    McpClient.wrap(client, { methods: [lightning] })
    const result = await client.callTool(job.call)
    await client.close()
    return { result, paid }
  },
}

try {
  say({ got: await clients[job.client]() })
} catch (fault) {
  say({ fault: String(fault?.stack ?? fault), paid })
}
process.exit(0)
