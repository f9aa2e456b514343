// node-redis and ioredis over TLS against stockd: node tls.mjs PORT CA CERTIFICATE KEY.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Redis } from "ioredis";
import { createClient } from "redis";

const [port, ca, certificate, key] = process.argv.slice(2);
const shown = { ca: readFileSync(ca), cert: readFileSync(certificate), key: readFileSync(key) };

for (const RESP of [2, 3]) {
  const socket = { host: "localhost", port: Number(port), tls: true, ...shown };
  const client = createClient({ RESP, socket });
  await client.connect();
  assert.deepEqual(await client.mGet(["AAPL", "SOLD", "NOPE"]), ["172.5", "0", null]);
  const many = await Promise.all(Array.from({ length: 2000 }, () => client.hGetAll("BRK/A")));
  assert.ok(many.every((quote) => quote.price === "743500"));
  await client.close();
}

const client = new Redis({ host: "localhost", port: Number(port), tls: shown });
assert.equal(await client.get("AAPL"), "172.5");
await client.quit();
console.log("all is well");
