// An invented market for pictures: names as people know them, prices that walk, the same each time.

/** name, price, places, whether it has a bid and an ask, shares */
const STOCKS = [
  ['AAPL', 178.42, 2, true, 5_120_000], ['AMD', 161.07, 2, true, 3_310_000], ['AMZN', 186.51, 2, true, 4_020_000],
  ['ASML', 912.3, 2, true, 410_000], ['BA', 172.88, 2, true, 900_000], ['BRK/A', 621_480, 2, true, 12],
  ['BRK/B', 414.1, 2, true, 1_220_000], ['BTCUSD', 67_412.5, 1, true, null], ['CRM', 296.04, 2, true, 800_000],
  ['DIS', 111.93, 2, true, 1_730_000], ['EURUSD', 1.08342, 5, true, null], ['GBPUSD', 1.27115, 5, true, null],
  ['GE', 159.2, 2, true, 610_000], ['GOOG', 152.26, 2, true, 2_900_000], ['GOLD', 2_178.3, 1, false, null],
  ['HAL', 38.02, 2, true, 0], ['IBM', 190.84, 2, true, 720_000], ['INTC', 43.11, 2, true, 6_400_000],
  ['JNJ', 157.96, 2, true, 1_050_000], ['JPM', 196.62, 2, true, 1_540_000], ['KO', 60.48, 2, true, 2_200_000],
  ['LMT', 451.7, 2, true, 130_000], ['MCD', 279.55, 2, true, 540_000], ['META', 493.12, 2, true, 2_050_000],
  ['MSFT', 425.22, 2, true, 3_800_000], ['NATGAS', -0.42, 3, false, null], ['NFLX', 617.02, 2, true, 690_000],
  ['NKE', 100.82, 2, true, 980_000], ['NVDA', 884.55, 2, true, 7_900_000], ['ORCL', 127.54, 2, true, 1_410_000],
  ['PEP', 172.03, 2, true, 760_000], ['PFE', 27.76, 2, true, 5_030_000], ['PYPL', 62.3, 2, true, 1_900_000],
  ['SAP', 190.06, 2, true, 300_000], ['SHEL', 66.9, 2, true, 880_000], ['SPX', 5_117.09, 2, false, null],
  ['TSLA', 163.57, 2, true, 6_100_000], ['TSM', 136.2, 2, true, 2_600_000], ['UBER', 76.21, 2, true, 2_400_000],
  ['USDJPY', 149.071, 3, true, null], ['V', 283.04, 2, true, 830_000], ['WMT', 60.68, 2, true, 1_980_000],
  ['XAUUSD', 2_161.84, 2, true, null], ['XOM', 111.9, 2, true, 1_600_000], ['ZM', 66.4, 2, true, 420_000],
];

const HALTED = new Set(['BA', 'PYPL']);

/** Numbers that look like chance and are the same each time (mulberry32). */
function chance(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let bits = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 4294967296;
  };
}

/** Lists the stocks, and moves their prices until `stop` is called. */
export async function market(server, everyMs = 60) {
  const random = chance(7);
  const stocks = STOCKS.map(([symbol, price, places, hasBook, volume]) => {
    const drift = (random() - 0.47) * 2e-5;
    return { symbol, price, places, hasBook, volume, drift, pace: 0.08 + 0.5 * random() };
  });
  const fields = (stock) => {
    const { symbol, price, places, hasBook, volume } = stock;
    const tick = 10 ** -places;
    const text = (number) => String(Number(number.toFixed(places)));
    const spread = tick * (1 + Math.floor(random() * 3));
    const book = hasBook && {
      bid: text(price - spread),
      ask: text(price + spread),
      bid_size: String(100 * (1 + Math.floor(random() * 20))),
      ask_size: String(100 * (1 + Math.floor(random() * 20))),
    };
    const left = volume !== null && { volume: String(volume) };
    return { symbol, price: text(price), ...book, ...left, time: new Date().toISOString() };
  };
  const send = (lines) =>
    fetch(new URL('/v1/updates', server.page), {
      method: 'POST',
      headers: { 'Content-Type': 'application/x-ndjson' },
      body: lines.map((line) => JSON.stringify(line)).join('\n'),
    }).then((response) => {
      if (!response.ok) throw new Error(`updates: ${response.status}`);
    });
  const status = ({ symbol }) => ({ symbol, status: HALTED.has(symbol) ? 'halted' : 'trading' });
  await send(stocks.map((stock) => ({ ...fields(stock), ...status(stock) })));
  let isOver = false;
  const walk = async () => {
    while (!isOver) {
      const moved = stocks.filter((stock) => !HALTED.has(stock.symbol) && random() < stock.pace / 4);
      for (const stock of moved) {
        const shock = (random() + random() + random() - 1.5) * 4e-4;
        stock.price += Math.max(Math.abs(stock.price), 1) * (shock + stock.drift);
        if (stock.volume > 100 && random() < 0.3) stock.volume -= 100;
      }
      if (moved.length > 0) await send(moved.map(fields));
      await new Promise((resolve) => setTimeout(resolve, everyMs));
    }
  };
  const over = walk();
  return {
    stop: () => {
      isOver = true;
      return over;
    },
  };
}
