// A worker: looks for the nonce that makes SHA-256 of `prefix` + nonce small enough (FIPS 180-4, plain, since SubtleCrypto
// is asked through a promise for every hash). The whole blocks of the prefix are hashed once; a try is one block, or two.
"use strict";
const K = new Int32Array([
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
  0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
  0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
  0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
  0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
  0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
]);
const START = [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];
const w = new Int32Array(64);

function compress(state, bytes, at) {
  for (let i = 0; i < 16; i++, at += 4) w[i] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
  for (let i = 16; i < 64; i++) {
    const x = w[i - 15], y = w[i - 2];
    const s = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const t = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    w[i] = (w[i - 16] + s + w[i - 7] + t) | 0;
  }
  let a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5], g = state[6], h = state[7];
  for (let i = 0; i < 64; i++) {
    const s = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const t = (h + s + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
    const u = (((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10))) + ((a & b) ^ (a & c) ^ (b & c));
    h = g; g = f; f = e; e = (d + t) | 0;
    d = c; c = b; b = a; a = (t + u) | 0;
  }
  state[0] += a; state[1] += b; state[2] += c; state[3] += d; state[4] += e; state[5] += f; state[6] += g; state[7] += h;
}

const hex = (state) => Array.from(state, (word) => (word >>> 0).toString(16).padStart(8, "0")).join("");

onmessage = ({ data: { prefix, target, from } }) => {
  const head = new TextEncoder().encode(prefix), whole = head.length - (head.length % 64);
  const middle = Int32Array.from(START), state = new Int32Array(8);
  for (let at = 0; at < whole; at += 64) compress(middle, head, at);
  const rest = head.length - whole, limit = target.slice(0, 8), first = parseInt(limit, 16);
  const block = new Uint8Array(128);
  let digits = Uint8Array.from(String(from), (c) => c.charCodeAt(0)), nonce = from, end = 0, tries = 0, told = performance.now();
  const lay = () => {  // the rest of the prefix, the nonce, and the padding behind it
    block.fill(0);
    block.set(head.subarray(whole));
    block.set(digits, rest);
    const length = rest + digits.length;
    block[length] = 0x80;
    end = length + 9 > 64 ? 128 : 64;
    new DataView(block.buffer).setUint32(end - 4, (whole + length) * 8);
  };
  lay();
  for (;;) {
    state.set(middle);
    compress(state, block, 0);
    if (end === 128) compress(state, block, 64);
    tries++;
    if ((state[0] >>> 0) <= first && hex(state) <= target) return postMessage({ tries, nonce, hash: hex(state) });
    if (++nonce > Number.MAX_SAFE_INTEGER) return postMessage({ tries, over: true });
    let at = rest + digits.length - 1;
    while (at >= rest && block[at] === 57) block[at--] = 48;
    if (at >= rest) block[at]++;
    else { digits = Uint8Array.from(String(nonce), (c) => c.charCodeAt(0)); lay(); }
    if (tries >= 8192 && performance.now() - told > 200) { postMessage({ tries }); tries = 0; told = performance.now(); }
  }
};
