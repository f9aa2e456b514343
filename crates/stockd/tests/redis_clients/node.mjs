// node-redis, in RESP2 and RESP3, and ioredis against stockd, over TCP (node node.mjs -p PORT)
// or a Unix socket (node node.mjs -s PATH).

import assert from "node:assert/strict";
import { Redis } from "ioredis";
import { createClient } from "redis";

const [kind, name] = process.argv.slice(2);
const place = kind === "-s" ? { path: name } : { host: "127.0.0.1", port: Number(name) };

/** Resolves with the messages as they come, one for each call. */
function inbox() {
  const messages = [];
  const readers = [];
  return {
    put(message) {
      const reader = readers.shift();
      reader ? reader(message) : messages.push(message);
    },
    async next() {
      const message = messages.shift() ?? (await new Promise((take) => readers.push(take)));
      return JSON.parse(message);
    },
  };
}

async function nodeRedis(RESP) {
  const client = createClient({ RESP, socket: place });
  await client.connect();
  assert.equal(await client.get("AAPL"), "172.5");
  assert.deepEqual(await client.mGet(["AAPL", "SOLD", "NOPE"]), ["172.5", "0", null]);
  const quote = await client.hGetAll("BRK/A");
  assert.equal(quote.price, "743500");
  const name = `NODE${RESP}`;
  assert.equal(await client.hSet(name, { price: "0.5", volume: "3" }), 2);
  assert.equal(await client.hIncrBy(name, "volume", -2), 1);
  await assert.rejects(client.hIncrBy(name, "volume", -2), /is 1, cannot take 2/);
  const found = [];
  for await (const names of client.scanIterator({ MATCH: `${name}*` })) found.push(...names);
  assert.deepEqual(found, [name]);

  const subscriber = client.duplicate();
  await subscriber.connect();
  const quotes = inbox();
  await subscriber.subscribe(name, quotes.put);
  assert.equal((await quotes.next()).volume, "1");
  await client.set(name, "0.75");
  assert.equal((await quotes.next()).price, "0.75");
  const matching = inbox();
  await subscriber.pSubscribe(`${name}.*`, matching.put);
  await client.hSet(`${name}.LATER`, { price: "9" });
  assert.equal((await matching.next()).symbol, `${name}.LATER`);
  await subscriber.close();
  await client.close();
}

async function ioRedis() {
  const client = new Redis(place);
  assert.equal(await client.get("AAPL"), "172.5");
  assert.deepEqual(await client.mget("AAPL", "NOPE"), ["172.5", null]);
  assert.equal(await client.hset("IO", { price: "1.25", volume: "2" }), 2);
  assert.equal((await client.hgetall("IO")).price, "1.25");
  const replies = await client.pipeline().hincrby("IO", "volume", -2).get("IO").exec();
  assert.deepEqual(replies, [[null, 0], [null, "0"]]);
  const subscriber = new Redis(place);
  const quotes = inbox();
  subscriber.on("message", (_, message) => quotes.put(message));
  await subscriber.subscribe("IO");
  assert.equal((await quotes.next()).volume, "0");
  await client.set("IO", "1.5");
  assert.equal((await quotes.next()).price, "1.5");
  subscriber.disconnect();
  client.disconnect();
}

await nodeRedis(2);
await nodeRedis(3);
await ioRedis();
console.log("all is well");
