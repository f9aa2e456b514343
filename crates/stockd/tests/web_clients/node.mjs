// ws and eventsource, as a browser's WebSocket and EventSource are used.
import { EventSource } from 'eventsource';
import WebSocket from 'ws';

const address = process.argv[2];
const assert = (holds, what) => {
  if (!holds) throw new Error(what);
};
const put = (symbol, fields) =>
  fetch(`http://${address}/v1/stocks/${symbol}`, {
    method: 'PUT',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(fields),
  });

await put('AAPL', { price: '172.50' });

await new Promise((resolve, reject) => {
  const source = new EventSource(`http://${address}/v1/stream?symbols=AAPL`);
  const seen = [];
  source.addEventListener('hello', (event) => seen.push(JSON.parse(event.data).resumed));
  source.addEventListener('synced', () => put('AAPL', { price: '173' }));
  source.onmessage = (event) => {
    seen.push(JSON.parse(event.data).price);
    if (seen.length === 3) {
      source.close();
      resolve();
    }
  };
  source.onerror = (error) => reject(new Error(`${error.message}`));
  setTimeout(() => reject(new Error(`events: ${seen}`)), 30000).unref();
});

await new Promise((resolve, reject) => {
  const socket = new WebSocket(`ws://${address}/v1/stream?symbols=AAPL`, 'stockd.v1');
  const kinds = [];
  socket.on('message', (text) => {
    const message = JSON.parse(text);
    kinds.push(Array.isArray(message) ? message[0].price : message.type);
    if (message.type === 'synced') put('AAPL', { price: '174' });
    if (kinds.at(-1) === '174') socket.close(1000);
  });
  socket.on('close', (code) => {
    assert(code === 1000 && socket.protocol === 'stockd.v1', `closed ${code}`);
    assert(kinds.join() === 'hello,173,synced,174', kinds.join());
    resolve();
  });
  socket.on('error', reject);
  setTimeout(() => reject(new Error(`messages: ${kinds}`)), 30000).unref();
});

console.log('all is well');
