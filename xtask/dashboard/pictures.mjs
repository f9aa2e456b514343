// Draws the pictures of the dashboard in docs/: table, stock, server and subscribers, light and dark, and a phone.
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { market } from './market.mjs';
import { Server, Tab, launch } from './stage.mjs';

const [folder, seconds = '75'] = process.argv.slice(2);

/** Load for the page of the server: some clients that ask, and a subscriber that is told. */
function load(server) {
  const run = (...args) =>
    spawn(process.env.STOCKD_BINARY, ['load', '--duration', `${Number(seconds) + 60}s`, ...args], { stdio: 'ignore' });
  return [
    run('--protocol', 'resp', '--server', server.resp, '--rate', '4200', '--connections', '12', '--subscribers', '2'),
    run('--protocol', 'line', '--server', server.line, '--resp', server.resp, '--rate', '2600', '--connections', '8'),
  ];
}

const browser = await launch();
const dataDir = await mkdtemp(`${tmpdir()}/stockd-pictures-`);
const server = await Server.start({ line: '127.0.0.1:0', dataDir });
const prices = await market(server);
const clients = load(server);
try {
  const shots = [
    ['table', '#/'],
    ['stock', '#/stock/NVDA'],
    ['server', '#/server'],
    ['subscribers', '#/subscribers'],
  ];
  const tabs = [];
  for (const colorScheme of ['light', 'dark']) {
    for (const [name, hash] of shots) {
      const viewport = { width: 1280, height: 800 };
      const context = await browser.newContext({ colorScheme, viewport, deviceScaleFactor: 1 });
      tabs.push([`${name}-${colorScheme}`, await Tab.open(context, server, hash)]);
    }
  }
  const phone = { width: 390, height: 760 };
  const context = await browser.newContext({ colorScheme: 'dark', viewport: phone, deviceScaleFactor: 1 });
  tabs.push(['phone-dark', await Tab.open(context, server, '#/')]);
  await new Promise((resolve) => setTimeout(resolve, Number(seconds) * 1000));
  for (const [name, { page, faults }] of tabs) {
    if (faults.length > 0) throw new Error(`${name}: ${faults}`);
    await page.bringToFront();
    if (name.startsWith('stock')) await page.mouse.move(760, 330);
    await page.screenshot({ path: `${folder}/dashboard-${name}.png` });
    await page.close();
  }
} finally {
  clients.forEach((child) => child.kill());
  await prices.stop();
  await browser.close();
  await server.kill();
  await rm(dataDir, { recursive: true });
}
