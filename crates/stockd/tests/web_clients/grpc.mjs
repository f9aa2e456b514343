// @grpc/grpc-js with the .proto file: calls, refusals with their details, live quotes, health.
import grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const [address, directory] = process.argv.slice(2);
const assert = (holds, what) => {
  if (!holds) throw new Error(what);
};
const definition = loadSync('stockd/v1/stocks.proto', { includeDirs: [directory], keepCase: true, longs: String, enums: String, oneofs: true });
const { Stocks } = grpc.loadPackageDefinition(definition).stockd.v1;
const client = new Stocks(address, grpc.credentials.createInsecure(), { 'grpc.keepalive_time_ms': 1000 });

const call = (method, request) =>
  new Promise((resolve, reject) => {
    const deadline = Date.now() + 120_000;
    client[method](request, { deadline }, (error, answer) => (error ? reject(error) : resolve(answer)));
  });

const updated = await call('Update', { symbol: 'AAPL', fields: { price: { text: '172.50' }, volume: { text: '10' } } });
assert(updated.price.text === '172.5' && updated.price.coefficient === '1725' && updated.price.scale === 1, JSON.stringify(updated));
const refused = await call('Trade', { symbol: 'AAPL', side: 'SIDE_BUY', quantity: { text: '50' } }).then(
  () => assert(false, 'it was not refused'),
  (error) => error,
);
assert(refused.code === grpc.status.FAILED_PRECONDITION, `${refused.code}`);
assert(`${refused.metadata.get('grpc-status-details-bin')[0]}`.includes('VOLUME_TOO_LOW'), 'no reason');

const told = [];
const watch = client.Watch({ symbols: ['AAPL', 'NOPE'] });
await new Promise((resolve, reject) => {
  watch.on('data', (event) => {
    told.push(event.event);
    if (event.event === 'synced') call('Update', { symbol: 'AAPL', fields: { bid: { text: '172' } } }).catch(reject);
    if (event.event === 'quote' && event.quote.bid?.text === '172') {
      watch.cancel();
      resolve();
    }
  });
  watch.on('error', (error) => error.code !== grpc.status.CANCELLED && reject(error));
  setTimeout(() => reject(new Error(`told: ${told}`)), 30_000).unref();
});
assert(told[0] === 'hello' && told.includes('unlisted') && told.includes('synced'), `${told}`);
client.close();
console.log('all is well');
