// Transactions of node-redis, in RESP2 and RESP3, and of ioredis against stockd, over TCP (node
// transactions.mjs -p PORT) or a Unix socket (node transactions.mjs -s PATH).

import assert from "node:assert/strict";
import { Redis } from "ioredis";
import { createClient, WatchError } from "redis";

const [kind, name] = process.argv.slice(2);
const place = kind === "-s" ? { path: name } : { host: "127.0.0.1", port: Number(name) };

async function nodeRedis(RESP) {
  const client = createClient({ RESP, socket: place });
  const other = createClient({ RESP, socket: place });
  await Promise.all([client.connect(), other.connect()]);
  const stock = `NODETX${RESP}`;
  const replies = await client
    .multi()
    .hSet(stock, { price: "10", volume: "5" })
    .hIncrBy(stock, "volume", -2)
    .get(stock)
    .mGet([stock, "NOPE"])
    .del([stock, "NOPE"])
    .exec();
  assert.deepEqual(replies, [2, 3, "10", ["10", null], 1]);
  await client.hSet(stock, { price: "10", volume: "5" });

  await client.watch(stock);
  await other.hIncrBy(stock, "volume", 1);
  await assert.rejects(client.multi().hIncrBy(stock, "volume", -6).exec(), WatchError);
  await client.watch([stock, "NOPE"]);
  assert.deepEqual(await client.multi().hIncrBy(stock, "volume", -6).exec(), [0]);

  const failed = client.multi().hIncrBy(stock, "volume", -1).get(stock).exec();
  const error = await failed.then(() => null, (error) => error);
  assert.match(error.replies[0].message, /is 0, cannot take 1/);
  assert.equal(error.replies[1], "0");
  await assert.rejects(client.multi().get(stock).addCommand(["NOSUCH"]).exec(), /EXECABORT|unknown command/);
  await Promise.all([client.close(), other.close()]);
}

async function ioRedis() {
  const client = new Redis(place);
  const other = new Redis(place);
  const replies = await client
    .multi()
    .hset("IOTX", { price: "1.25", volume: "2" })
    .hincrby("IOTX", "volume", -3)
    .get("IOTX")
    .exec();
  assert.deepEqual([replies[0], replies[2]], [[null, 2], [null, "1.25"]]);
  assert.match(replies[1][0].message, /is 2, cannot take 3/);
  await client.watch("IOTX");
  await other.hincrby("IOTX", "volume", 1);
  assert.equal(await client.multi().hset("IOTX", "volume", 0).exec(), null);
  await client.watch("IOTX");
  assert.deepEqual(await client.multi().hset("IOTX", "volume", 9).exec(), [[null, 0]]);
  await client.multi({ pipeline: false });
  assert.equal(await client.get("IOTX"), "QUEUED");
  assert.equal(await client.discard(), "OK");
  client.disconnect();
  other.disconnect();
}

await nodeRedis(2);
await nodeRedis(3);
await ioRedis();
console.log("all is well");
