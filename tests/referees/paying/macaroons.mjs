// The npm library `macaroon` reads, narrows and verifies what is on its input: JSON lines in, JSON lines out.
import { createInterface } from 'node:readline'
import { importMacaroon } from 'macaroon'

const bytes = (hex) => new Uint8Array(Buffer.from(hex, 'hex'))

for await (const line of createInterface({ input: process.stdin })) {
  const { token, key, add } = JSON.parse(line)
  const given = importMacaroon(bytes(token))
  for (const caveat of add ?? []) given.addFirstPartyCaveat(caveat)
  const caveats = []
  let verified = true
  try {
    given.verify(bytes(key), (caveat) => { caveats.push(caveat); return null }, [])
  } catch {
    verified = false
  }
  const hex = (value) => Buffer.from(value).toString('hex')
  // Its exportBinary doubles its buffer with every field, so it is asked only for small ones.
  const written = add ? null : hex(given.exportBinary())
  const signature = hex(given.signature)
  console.log(JSON.stringify({ identifier: hex(given.identifier), caveats, verified, token: written, signature }))
}
