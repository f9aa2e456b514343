// Client-side caching of node-redis against stockd (node caching.mjs -p PORT or -s PATH).

import assert from "node:assert/strict";
import { createClient } from "redis";

const [kind, name] = process.argv.slice(2);
const place = kind === "-s" ? { path: name } : { host: "127.0.0.1", port: Number(name) };

const reader = createClient({ RESP: 3, socket: place, clientSideCache: { ttl: 0, maxEntries: 0 } });
const writer = createClient({ socket: place });
await reader.connect();
await writer.connect();

/** Resolves when the price is this. A read that is answered from the cache lets the others have their turn. */
async function becomes(price) {
  while ((await reader.get("CACHED")) !== price) {
    await new Promise((next) => setImmediate(next));
  }
}

await writer.hSet("CACHED", { price: "1", volume: "9" });
await becomes("1");
for (const [change, price] of [
  [() => writer.set("CACHED", "2"), "2"],
  [() => writer.hSet("CACHED", { status: "halted" }), "0"],
  [() => writer.hSet("CACHED", { status: "trading" }), "2"],
  [() => writer.multi().hIncrBy("CACHED", "volume", -9).exec(), "0"],
  [() => writer.del("CACHED"), null],
  [() => writer.hSet("CACHED", { price: "3" }), "3"],
]) {
  const before = await reader.get("CACHED");
  assert.equal(await reader.get("CACHED"), before);
  await change();
  await becomes(price);
}
await writer.del("CACHED");
await reader.close();
await writer.close();
console.log("all is well");
