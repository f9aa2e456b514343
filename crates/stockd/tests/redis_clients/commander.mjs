// redis-commander against stockd, over its own HTTP: node commander.mjs PORT

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { createRequire } from "node:module";

const stockd = process.argv[2];
const server = createServer().listen(0, "127.0.0.1");
await new Promise((resolve) => server.once("listening", resolve));
const port = server.address().port;
await new Promise((resolve) => server.close(resolve));

const program = createRequire(import.meta.url).resolve("redis-commander/bin/redis-commander.js");
const settings = ["--nosave", "--noload", "--address", "127.0.0.1", "--port", `${port}`, "--redis-host", "127.0.0.1"];
const child = spawn(process.execPath, [program, ...settings, "--redis-port", stockd, "--redis-label", "stockd"]);
process.on("exit", () => child.kill("SIGKILL"));
let log = "";
await new Promise((resolve, reject) => {
  const note = (text) => {
    log += text;
    if (log.includes("Redis Connection 127.0.0.1")) resolve();
  };
  child.stdout.on("data", note);
  child.stderr.on("data", note);
  child.once("exit", () => reject(new Error(log)));
  setTimeout(() => reject(new Error(log)), 60_000).unref();
});

const base = `http://127.0.0.1:${port}`;
const { bearerToken } = await (await fetch(`${base}/signin`, { method: "POST" })).json();
const headers = { Authorization: `Bearer ${bearerToken}`, "Content-Type": "application/json" };
const ask = async (path, body) => {
  const method = body ? "POST" : "GET";
  const response = await fetch(`${base}/apiv2/${path}`, { method, headers, body: body && JSON.stringify(body) });
  return JSON.parse(await response.text());
};
const id = `R:127.0.0.1:${stockd}:0`;

assert.equal(await ask("connection"), true);
const tree = (await ask(`keystree/${id}/`)).data.map(({ keyName, rel }) => [keyName, rel]);
assert.deepEqual(tree.sort(), [["AAPL", "hash"], ["BRK/A", "hash"], ["HALT", "hash"], ["SOLD", "hash"]]);
const quote = await ask(`key/${id}/BRK/A`);
assert.deepEqual([quote.ttl, quote.type, quote.data.price, quote.data.volume], [-1, "hash", "743500", "12"]);
assert.equal((await ask(`exec/${id}`, { cmd: "HINCRBY AAPL volume -2" })).data, 998);
const [{ info }] = (await ask(`server/${id}/info`)).data;
assert.ok(info.some(({ key, value }) => key === "Role" && value === "master"), JSON.stringify(info));
assert.ok(!/error/i.test(log), log);
console.log("all is well");
child.kill("SIGKILL");
process.exit(0);
