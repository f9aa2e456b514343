// What pages of other sites can do from a real browser: nothing, unless their origin is let in. And gRPC-Web from a page.
import { once } from 'node:events';
import http from 'node:http';
import { launch } from './stage.mjs';

const [address, open] = process.argv.slice(2);
const port = address.split(':').at(-1);
const assert = (holds, what) => {
  if (!holds) throw new Error(what);
};
const ask = async (path, options = {}) => (await fetch(`http://${address}${path}`, options)).json();
await ask('/v1/stocks/AAPL', {
  method: 'PUT',
  headers: { 'Content-Type': 'application/json' },
  body: '{"price":"172.50","volume":"1000"}',
});
const before = JSON.stringify(await ask('/v1/stocks/AAPL'));

// The attacker's own server, under a name that leads to this machine, as do all names here.
const attacker = http.createServer((_, response) => response.end('<!doctype html><title>attack</title>'));
attacker.listen(0, '127.0.0.1');
await once(attacker, 'listening');
const evil = `http://attacker.example:${attacker.address().port}`;
const browser = await launch({ args: ['--host-resolver-rules=MAP *.example 127.0.0.1'] });
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(30_000);

  // DNS rebinding: the attacker's name leads to the server, so its pages are of the same origin.
  const rebound = await page.goto(`http://rebound.example:${port}/v1/stocks/AAPL`);
  assert(rebound.status() === 421, `rebinding reads: ${rebound.status()}`);
  const write = await page.evaluate(async () => {
    const headers = { 'Content-Type': 'application/json' };
    const answer = await fetch('/v1/stocks/AAPL', { method: 'PUT', headers, body: '{"price":"1"}' });
    return answer.status;
  });
  assert(write === 421, `rebinding writes: ${write}`);

  // A page of another site. What it can send without asking first is text; it reads nothing.
  await page.goto(evil);
  const sent = await page.evaluate(async (server) => {
    const outcome = async (promise) => promise.then((it) => it.type, () => 'failed');
    const trade = '{"side":"buy","quantity":"5"}';
    const order = '{"name":"AAPL","type":"buy","quantity":5}';
    const outcomes = [
      await outcome(fetch(`${server}/v1/stocks/AAPL`)),
      await outcome(fetch(`${server}/v1/stocks/AAPL`, { method: 'PUT', headers: { 'Content-Type': 'application/json' }, body: '{"price":"1"}' })),
      await outcome(fetch(`${server}/v1/stocks/AAPL/trades`, { method: 'POST', mode: 'no-cors', body: trade })),
      await outcome(fetch(`${server}/orders`, { method: 'POST', mode: 'no-cors', body: order })),
      await outcome(fetch(`${server}/orders`, { method: 'POST', mode: 'no-cors', body: new Blob([order]) })),
      await outcome(fetch(`${server}/v1/updates`, { method: 'POST', mode: 'no-cors', body: '{"symbol":"AAPL","price":"1"}' })),
      await outcome(fetch(`${server}/v1/stocks/AAPL`, { method: 'DELETE' })),
    ];
    const opened = (socket) =>
      new Promise((resolve) => {
        socket.onopen = () => resolve('open');
        socket.onmessage = () => resolve('told');
        socket.onerror = () => resolve('failed');
      });
    outcomes.push(await opened(new WebSocket(`${server.replace('http', 'ws')}/v1/stream?symbols=AAPL`, 'stockd.v1')));
    outcomes.push(await opened(new WebSocket(`${server.replace('http', 'ws')}/v2/iex`)));
    outcomes.push(await opened(new EventSource(`${server}/v1/stream?symbols=AAPL`)));
    return outcomes;
  }, `http://127.0.0.1:${port}`);
  const opaque = sent.filter((it) => it === 'opaque').length;
  assert(sent.every((it) => it === 'failed' || it === 'opaque') && opaque === 4, `another site: ${sent}`);

  // A form, which needs no script: JSON as text, with a name and a value around a sign of equality.
  const forms = [
    ['/orders', '{"name":"AAPL","type":"buy","quantity":5,"x":"', '"}'],
    ['/v1/stocks/AAPL/trades', '{"side":"buy","quantity":"5","x":"', '"}'],
  ];
  for (const [path, name, value] of forms) {
    await page.goto(evil);
    await page.setContent(`<form method="post" enctype="text/plain" action="http://127.0.0.1:${port}${path}"><input></form>`);
    const [answer] = await Promise.all([
      page.waitForNavigation(),
      page.evaluate(([name, value]) => {
        const [input] = document.forms[0].elements;
        Object.assign(input, { name, value });
        document.forms[0].submit();
      }, [name, value]),
    ]);
    assert(answer.status() === 403, `a form to ${path}: ${answer.status()}`);
  }
  const after = JSON.stringify(await ask('/v1/stocks/AAPL'));
  assert(after === before, `${before} became ${after}`);

  // gRPC-Web, by a page of the server, and by one of another site that is let in.
  const lookup = async (server) => {
    const name = new TextEncoder().encode('AAPL');
    const message = new Uint8Array([0x0a, name.length, ...name]);
    const body = new Uint8Array([0, 0, 0, 0, message.length, ...message]);
    const headers = { 'Content-Type': 'application/grpc-web+proto', 'X-Grpc-Web': '1' };
    const answer = await fetch(`${server}/stockd.v1.Stocks/Lookup`, { method: 'POST', headers, body });
    return new TextDecoder().decode(await answer.arrayBuffer());
  };
  await page.goto(`http://localhost:${port}/health/live`);
  const own = await page.evaluate(lookup, '');
  assert(own.includes('172.5') && own.includes('grpc-status:0'), own);
  await fetch(`http://${open}/v1/stocks/AAPL`, {
    method: 'PUT',
    headers: { 'Content-Type': 'application/json' },
    body: '{"price":"172.50"}',
  });
  await page.goto(evil);
  const letIn = await page.evaluate(lookup, `http://${open}`);
  assert(letIn.includes('172.5') && letIn.includes('grpc-status:0'), letIn);
  const read = await page.evaluate(async (server) => {
    const answer = await fetch(`${server}/v1/stocks/AAPL`, { headers: { 'If-None-Match': '"x"' } });
    return [answer.status, answer.headers.get('etag') !== null, (await answer.json()).price];
  }, `http://${open}`);
  assert(read.join() === '200,true,172.5', read.join());
} finally {
  await browser.close();
  attacker.close();
}
console.log('all is well');
