// What a page costs its browser: 10,000 stocks, 50,000 updates a second, one page that is scrolled half of the time.
//
// Prints the longest tasks of the main thread and what they were spent on, frames, and the memory of the page once it
// holds as much as it ever will and at the end. Nothing is asserted: figures of a busy machine are its own.
import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { Server, Tab, launch } from './stage.mjs';
import { Trace } from './trace.mjs';

const [seconds = '60', stocks = '10000', rate = '50000', traceFile] = process.argv.slice(2);

/** A wheel turns by this much, in pixels, this often. */
const WHEEL_PX = 120;
const WHEEL_MS = 33;

/** Updates are written this often, in milliseconds, many at once, as a feed does: the browser has the processors. */
const FEED_MS = 20;

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Writes updates of stocks picked at random, until it is ended. */
function feed(resp) {
  const part = (text) => `$${text.length}\r\n${text}\r\n`;
  const update = () => {
    const stock = String(Math.floor(Math.random() * Number(stocks))).padStart(7, '0');
    const price = (1 + Math.random() * 1000).toFixed(2);
    return `*4\r\n${['HSET', `S${stock}`, 'price', price].map(part).join('')}`;
  };
  const count = Math.round((Number(rate) * FEED_MS) / 1000);
  const batches = Array.from({ length: 100 }, () => Buffer.from(Array.from({ length: count }, update).join('')));
  const at = resp.lastIndexOf(':');
  const socket = connect(Number(resp.slice(at + 1)), resp.slice(0, at)).resume();
  const began = performance.now();
  let written = 0;
  const timer = setInterval(() => {
    for (; written * FEED_MS < performance.now() - began; written++) socket.write(batches[written % batches.length]);
  }, FEED_MS);
  return () => {
    clearInterval(timer);
    socket.destroy();
  };
}

/** Turns the wheel for a while. */
async function scroll(page, ms) {
  const until = Date.now() + ms;
  while (Date.now() < until) {
    await page.mouse.wheel(0, WHEEL_PX);
    await wait(WHEEL_MS);
  }
}

/** Scrolls and rests by turns; each time it scrolls on from another part of the list. */
async function use(page, ms) {
  const until = Date.now() + ms;
  for (let turn = 0; Date.now() < until; turn++) {
    const part = (turn % 5) / 5;
    await page.locator('#grid').evaluate((grid, part) => grid.scrollTo(0, grid.scrollHeight * part), part);
    await scroll(page, Math.min(5000, until - Date.now()));
    await wait(Math.max(0, Math.min(5000, until - Date.now())));
  }
}

const browser = await launch({ args: ['--enable-precise-memory-info', '--js-flags=--expose-gc'] });
const server = await Server.start();
const fill = ['--fill', '--stocks', stocks, '--requests', '1', '--warmup', '0s'];
const filled = spawn(process.env.STOCKD_BINARY, ['load', '--protocol', 'resp', '--server', server.resp, ...fill], { stdio: 'ignore' });
await new Promise((resolve) => filled.on('exit', resolve));
const end = feed(server.resp);
try {
  const tab = await Tab.open(await browser.newContext({ viewport: { width: 1280, height: 900 } }), server);
  const { page } = tab;
  await tab.isLive();
  await page.waitForFunction((rows) => document.querySelector('#grid').ariaRowCount === rows, String(Number(stocks) + 1));
  await page.mouse.move(640, 450);
  const memory = () =>
    page.evaluate(() => {
      globalThis.gc?.();
      return performance.memory.usedJSHeapSize / 1024 / 1024;
    });
  // All of the list is seen once, so that all that is kept of stocks out of sight is there.
  await page.locator('#grid').evaluate(async (grid) => {
    for (let top = 0; top < grid.scrollHeight; top += grid.clientHeight) {
      grid.scrollTo(0, top);
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
  });
  const before = await memory();
  const counted = await server.ask('/v1/server');
  await page.evaluate(() => {
    const frames = (globalThis.frames_ = []);
    let last = performance.now();
    const frame = (now) => {
      frames.push(now - last);
      last = now;
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  });
  await browser.startTracing(page, { categories: Trace.CATEGORIES });
  await use(page, Number(seconds) * 1000);
  const frames = await page.evaluate(() => globalThis.frames_);
  const recorded = await browser.stopTracing();
  const after = await memory();
  const last = await server.ask('/v1/server');
  const took = last.uptime_seconds - counted.uptime_seconds;
  console.log(`${stocks} stocks, ${Math.round((last.updates - counted.updates) / took)} updates a second, ${seconds} s, half of them scrolling`);
  new Trace(JSON.parse(recorded).traceEvents).print(Number(seconds));
  frames.sort((one, other) => one - other);
  const share = (of) => frames[Math.floor(frames.length * of)].toFixed(1);
  const perSecond = frames.length / (frames.reduce((sum, ms) => sum + ms, 0) / 1000);
  console.log(`${perSecond.toFixed(1)} frames a second; between two ${share(0.5)} ms (p50), ${share(0.99)} ms (p99)`);
  console.log(`memory of the page ${before.toFixed(1)} MiB before, ${after.toFixed(1)} MiB after`);
  if (traceFile !== undefined) await writeFile(traceFile, recorded);
  if (tab.faults.length > 0) throw new Error(tab.faults.join('\n'));
} finally {
  end();
  await browser.close();
  await server.kill();
}
