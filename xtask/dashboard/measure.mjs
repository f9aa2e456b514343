// What a page costs its browser: 10,000 stocks, 50,000 updates a second, one page that is scrolled meanwhile.
//
// Prints the longest task of the main thread, the share of time in long ones, frames, and the memory of the page at the
// beginning and at the end. Nothing is asserted: figures of a busy machine are its own.
import { spawn } from 'node:child_process';
import { Server, Tab, launch } from './stage.mjs';

const [seconds = '60', stocks = '10000', rate = '50000'] = process.argv.slice(2);

const browser = await launch({ args: ['--no-sandbox', '--disable-gpu', '--enable-precise-memory-info', '--js-flags=--expose-gc'] });
const server = await Server.start();
const load = (...args) =>
  spawn(process.env.STOCKD_BINARY, ['load', '--protocol', 'resp', '--server', server.resp, '--stocks', stocks, ...args], { stdio: 'ignore' });
const fill = load('--fill', '--requests', '1', '--warmup', '0s');
await new Promise((resolve) => fill.on('exit', resolve));
const updates = load('--updates', '100', '--rate', rate, '--connections', '8', '--duration', `${Number(seconds) + 30}s`, '--warmup', '0s');
try {
  const tab = await Tab.open(await browser.newContext({ viewport: { width: 1280, height: 900 } }), server);
  await tab.isLive();
  await tab.page.waitForFunction((rows) => document.querySelector('#grid').ariaRowCount === rows, String(Number(stocks) + 1));
  const memory = () =>
    tab.page.evaluate(() => {
      globalThis.gc?.();
      return performance.memory.usedJSHeapSize / 1024 / 1024;
    });
  const before = await memory();
  const counted = await server.ask('/v1/server');
  const measured = await tab.page.evaluate(async (seconds) => {
    const tasks = [];
    new PerformanceObserver((list) => tasks.push(...list.getEntries().map(({ duration }) => duration))).observe({ entryTypes: ['longtask'] });
    const frames = [];
    const grid = document.querySelector('#grid');
    const began = performance.now();
    let last = began;
    await new Promise((resolve) => {
      const frame = (now) => {
        frames.push(now - last);
        last = now;
        // Half of the time it is scrolled, through all of the list.
        const phase = ((now - began) / 1000) % 10;
        if (phase < 5) grid.scrollTop += 40;
        if (grid.scrollTop + grid.clientHeight >= grid.scrollHeight - 1) grid.scrollTop = 0;
        if (now - began < seconds * 1000) requestAnimationFrame(frame);
        else resolve();
      };
      requestAnimationFrame(frame);
    });
    frames.sort((one, other) => one - other);
    const share = (of) => frames[Math.floor(frames.length * of)];
    return {
      longest: Math.max(0, ...tasks),
      long: tasks.length,
      frames: frames.length / seconds,
      p50: share(0.5),
      p99: share(0.99),
    };
  }, Number(seconds));
  const after = await memory();
  const end = await server.ask('/v1/server');
  const took = end.uptime_seconds - counted.uptime_seconds;
  console.log(`${stocks} stocks, ${Math.round((end.updates - counted.updates) / took)} updates a second, ${seconds} s, half of them scrolling`);
  console.log(`longest task ${measured.longest.toFixed(0)} ms; ${measured.long} tasks of 50 ms or more`);
  console.log(`${measured.frames.toFixed(1)} frames a second; between two ${measured.p50.toFixed(1)} ms (p50), ${measured.p99.toFixed(1)} ms (p99)`);
  console.log(`memory of the page ${before.toFixed(1)} MiB before, ${after.toFixed(1)} MiB after`);
  if (tab.faults.length > 0) throw new Error(tab.faults.join('\n'));
} finally {
  updates.kill();
  await browser.close();
  await server.kill();
}
