// node-redis, in RESP2 and RESP3, and ioredis with tokens against stockd: node tokens.mjs PORT FEED DESK, where
// FEED may read and write everything and DESK may read US.* alone.

import assert from "node:assert/strict";
import { Redis } from "ioredis";
import { createClient } from "redis";

const [port, feedToken, deskToken] = process.argv.slice(2);
const socket = { host: "127.0.0.1", port: Number(port), reconnectStrategy: false };

async function nodeRedis(RESP) {
  const open = (username, password) => {
    const client = createClient({ RESP, socket, username, password });
    client.on("error", () => {});
    return client;
  };
  await assert.rejects(open("desk", feedToken).connect(), /WRONGPASS/);
  const feed = open("feed", feedToken);
  const desk = open(undefined, deskToken);
  await feed.connect();
  await desk.connect();
  await feed.hSet("US.A", { price: "1.5", volume: "10" });
  await feed.hSet("EU.A", { price: "2.5", volume: "10" });
  assert.equal(await desk.get("US.A"), "1.5");
  await assert.rejects(desk.get("EU.A"), /NOPERM/);
  await assert.rejects(desk.hSet("US.A", "price", "7"), /NOPERM/);
  assert.deepEqual(await desk.keys("*"), ["US.A"]);
  await assert.rejects(desk.multi().get("US.A").set("US.A", "7").exec(), /NOPERM|EXECABORT/);
  const messages = [];
  let heard;
  const told = new Promise((resolve) => (heard = resolve));
  const subscriber = desk.duplicate();
  subscriber.on("error", () => {});
  await subscriber.connect();
  await subscriber.pSubscribe("*", (message, channel) => {
    messages.push(channel);
    if (JSON.parse(message).price === "1.75") heard();
  });
  await feed.set("EU.A", "3.5");
  await feed.set("US.A", "1.75");
  await told;
  assert.ok(messages.every((channel) => channel === "US.A"), String(messages));
  for (const client of [subscriber, desk, feed]) client.destroy();
}

async function ioredis() {
  const open = (username, password) =>
    new Redis({ ...socket, username, password, retryStrategy: () => null, lazyConnect: true });
  const wrong = open("desk", feedToken);
  wrong.on("error", () => {});
  await assert.rejects(wrong.connect().then(() => wrong.get("US.A")));
  wrong.disconnect();
  // Its ready check asks for INFO, which everybody who is known may.
  const desk = open("desk", deskToken);
  await desk.connect();
  assert.equal(await desk.get("US.A"), "1.75");
  await assert.rejects(desk.get("EU.A"), /NOPERM/);
  assert.equal(await desk.dbsize(), 1);
  desk.disconnect();
}

await nodeRedis(2);
await nodeRedis(3);
await ioredis();
console.log("all is well");
