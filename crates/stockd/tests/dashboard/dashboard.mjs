// The dashboard as people use it, in a browser without a window.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { Server, Tab, launch } from './stage.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

let browser;
before(async () => (browser = await launch()));
after(() => browser?.close());

/** Plays with a server and a browser of its own, and finds no fault on any page. */
async function play({ server = {}, context = {}, prepare = [] }, scene) {
  const running = await Server.start(server);
  const own = await browser.newContext(context);
  const tabs = [];
  const open = async (hash) => {
    const tab = await Tab.open(own, stage.server, hash);
    tabs.push(tab);
    return tab;
  };
  const stage = { server: running, context: own, open };
  try {
    if (prepare.length > 0) await running.redis(...prepare);
    await scene(stage);
    assert.deepEqual(tabs.flatMap(({ faults }) => faults), []);
  } finally {
    await own.close();
    await stage.server.kill();
  }
}

const SOME = [
  'HSET AAPL price 172.5 volume 1000 bid 172.49 ask 172.51',
  'HSET BRK/A price 743500 volume 12',
  'HSET BRK/B price 410.25',
  'HSET OIL price -37.63 status halted',
  'HSET SOLD price 8.25 volume 0',
  'HSET TINY price 0.000000000072377',
];

describe('the table', () => {
  test('shows prices exactly, and a change as it comes', () =>
    play({ prepare: SOME }, async ({ server, open }) => {
      const tab = await open();
      await tab.shows('AAPL', 'price', '172.5');
      await tab.shows('TINY', 'price', '0.000000000072377');
      await tab.shows('OIL', 'price', '-37.63');
      await tab.isLive();
      await server.redis('HSET AAPL price 172.61 bid 172.6');
      await tab.shows('AAPL', 'price', '172.61');
      await tab.shows('AAPL', 'bid', '172.6');
      await tab.shows('AAPL', 'change', '+0.11+0.06 %');
      assert.equal(await tab.row('AAPL').locator('.flash').getAttribute('data-sign'), '1');
      await server.redis('HSET AAPL price 172.4');
      await tab.shows('AAPL', 'change', '−0.1−0.06 %');
      // What is listed later appears, and what is delisted says so.
      await server.redis('HSET ACME price 1', 'DEL SOLD');
      await tab.shows('ACME', 'price', '1');
      await tab.page.waitForFunction(() => !document.body.textContent.includes('SOLD'));
    }));

  test('tells what is halted and what has no shares', () =>
    play({ prepare: SOME }, async ({ server, open }) => {
      const tab = await open();
      await tab.shows('OIL', 'status', 'halted');
      await tab.shows('SOLD', 'status', 'no shares');
      await server.redis('HSET AAPL status halted', 'HSET OIL status trading');
      await tab.shows('AAPL', 'status', 'halted');
      await tab.shows('OIL', 'status', '');
    }));

  test('tells that a feed is silent or has missed something, until it is back', () =>
    play({ prepare: SOME }, async ({ server, open }) => {
      const tab = await open();
      await tab.isLive();
      await server.redis('FEED OPEN floor 60000', 'HSET AAPL price 172.6', 'FEED GAP');
      await tab.shows('AAPL', 'status', 'gap');
      // The connection ends without a word, as that of a process that is killed.
      await server.redis('FEED OPEN floor 50 ONSTALE halt', 'HSET AAPL price 172.7');
      await tab.shows('AAPL', 'status', 'halted, stale');
      await tab.page.waitForFunction(() => document.querySelector('.row[data-stale] .symbol').textContent === 'AAPL');
      await server.redis('FEED OPEN floor 60000', 'HSET AAPL price 172.8');
      await tab.shows('AAPL', 'status', '');
      await tab.shows('AAPL', 'price', '172.8');
      await tab.page.waitForFunction(() => document.querySelector('.row[data-stale]') === null);
      await tab.page.goto(`${server.page}#/stock/AAPL`);
      await tab.page.getByText('floor, live').waitFor();
    }));

  test('is filtered by a pattern', () =>
    play({ prepare: SOME }, async ({ open }) => {
      const tab = await open();
      await tab.isLive();
      const names = async (filter, expected) => {
        await tab.page.getByLabel('Filter by pattern').fill(filter);
        await tab.page.waitForFunction(
          (expected) =>
            [...document.querySelectorAll('#rows > .row:not([hidden]) .symbol')]
              .map(({ textContent }) => textContent)
              .join() === expected,
          expected,
        );
      };
      await names('BRK', 'BRK/A,BRK/B');
      await names('*L*', 'AAPL,OIL,SOLD');
      await names('[AT]*', 'AAPL,TINY');
      await names('none', '');
      assert.match(await tab.page.locator('#none').textContent(), /No stock fits none\*/);
      await names('', 'AAPL,BRK/A,BRK/B,OIL,SOLD,TINY');
    }));

  test('has ten thousand stocks, of which it subscribes to those in sight', () =>
    play({}, async ({ server, open }) => {
      const number = (at) => String(at).padStart(5, '0');
      const sets = Array.from({ length: 10_000 }, (_, at) => `HSET S${number(at)} price ${at}.25`);
      await server.redis(...sets);
      const tab = await open();
      await tab.shows('S00000', 'price', '0.25');
      await tab.page.waitForFunction(() => document.querySelector('#grid').ariaRowCount === '10001');
      await tab.page.locator('#grid').evaluate((grid) => grid.scrollTo(0, grid.scrollHeight));
      await tab.shows('S09999', 'price', '9999.25');
      assert.ok((await tab.page.locator('#rows > .row').count()) < 100);
      const { clients } = await server.ask('/v1/clients');
      const [stream] = clients.filter(({ name }) => name === 'dashboard');
      assert.ok(stream.symbols > 5 && stream.symbols < 100, `${stream.symbols}`);
    }));
});

describe('a stock', () => {
  test('is traded by who may', () =>
    play({ prepare: SOME }, async ({ server, open }) => {
      const tab = await open('#/stock/AAPL');
      const { page } = tab;
      await page.waitForFunction(() => document.querySelector('#stock-price').textContent === '172.5');
      await page.waitForSelector('#plot canvas');
      await page.getByLabel('Shares', { exact: true }).fill('5.5');
      await page.getByRole('button', { name: 'Buy' }).click();
      await page.getByText('Bought 5.5. 994.5 are left.').waitFor();
      assert.equal((await server.ask('/v1/stocks/AAPL')).volume, '994.5');
      await page.getByLabel('Shares', { exact: true }).fill('0');
      await page.getByRole('button', { name: 'Sell' }).click();
      await page.getByText("'0' is no number of shares").waitFor();
      // A refusal of the server is an error for the console of the browser, too.
      await page.getByLabel('Shares', { exact: true }).fill('1000000');
      await page.getByRole('button', { name: 'Buy' }).click();
      await page.getByText('cannot take 1000000').waitFor();
      assert.match(tab.faults.pop(), /409/);
      await page.goto(`${server.page}#/stock/BRK%2FB`);
      await page.getByText('Its shares are not counted').waitFor();
    }));

  test('is shown and not traded without the right', async (it) => {
    const { token, access } = await accessFile(it);
    const server = { args: ['--access', access] };
    await play({ server }, async ({ server, context, open }) => {
      await fill(server, token.feed);
      const tab = await open();
      const { page } = tab;
      await page.getByRole('heading', { name: 'Sign in' }).waitFor();
      await page.getByLabel('Token').fill('stk_wrong');
      await page.getByRole('button', { name: 'Sign in' }).last().click();
      await page.getByText('the token is none').waitFor();
      assert.match(tab.faults.pop(), /401/);
      const signIn = async (name) => {
        await page.getByLabel('Token').fill(token[name]);
        await page.getByRole('button', { name: 'Sign in' }).last().click();
        await page.getByRole('button', { name: `Sign out ${name}` }).waitFor();
      };
      await signIn('desk');
      const [cookie] = await context.cookies();
      assert.deepEqual([cookie.httpOnly, cookie.sameSite], [true, 'Strict']);
      // Browsing shows what may be read, and pages that need other rights are not offered.
      await tab.shows('US.A', 'price', '1');
      assert.equal((await tab.rows()).has('EU.A'), false);
      assert.equal(await page.getByRole('link', { name: 'Server' }).isVisible(), false);
      await page.goto(`${server.page}#/stock/US.A`);
      await page.getByLabel('Shares', { exact: true }).fill('1');
      await page.getByRole('button', { name: 'Sell' }).click();
      await page.getByText('Sold 1. 11 are left.').waitFor();
      await page.goto(`${server.page}#/stock/US.B`);
      await page.getByText('You may read this stock and not trade it.').waitFor();
      assert.equal(await page.getByRole('button', { name: 'Buy' }).isVisible(), false);
      await page.getByRole('button', { name: 'Sign out desk' }).click();
      await page.getByRole('heading', { name: 'Sign in' }).waitFor();
      await signIn('ops');
      await page.getByRole('link', { name: 'Server' }).click();
      await page.getByText('all is well').waitFor();
    });
  });
});

test('a server that is killed and comes back is shown as it is', async (it) => {
  const { catalog } = await catalogs(it);
  await play({ server: { args: ['--catalog', catalog(0)] } }, async (stage) => {
    const tab = await stage.open();
    const { page } = tab;
    await tab.shows('S00', 'price', '0');
    await tab.isLive();
    const live = await tab.row('S00').locator('.price .whole').evaluate((it) => getComputedStyle(it).color);
    const { http, resp } = stage.server;
    await stage.server.kill();
    await page.locator('#banner').waitFor();
    assert.match(await page.locator('#banner').textContent(), /No connection to the server/);
    const grey = await tab.row('S00').locator('.price .whole').evaluate((it) => getComputedStyle(it).color);
    assert.notEqual(grey, live);
    // The same names with other prices, one less and one more.
    stage.server = await Server.start({ http, resp, args: ['--catalog', catalog(1)] });
    await page.getByRole('button', { name: 'Try now' }).click({ timeout: 2000 }).catch(() => {});
    await page.locator('#banner').waitFor({ state: 'hidden' });
    await tab.shows('S20', 'price', '1020');
    await page.waitForFunction(() => !document.body.textContent.includes('S00'));
    const quotes = await stage.server.stocks();
    const rows = await tab.rows();
    assert.equal(rows.size, quotes.size);
    for (const [symbol, quote] of quotes) {
      const { price, volume, isStale } = rows.get(symbol);
      assert.deepEqual([price, volume, isStale], [quote.price, quote.volume, false], symbol);
    }
    // Each attempt while it was gone is an error for the console.
    const others = tab.faults.filter((fault) => !/ERR_CONNECTION_REFUSED|WebSocket connection/.test(fault));
    tab.faults.splice(0, Infinity, ...others);
  });
});

test('eight tabs at once see the same', () =>
  play({ prepare: SOME }, async ({ server, open }) => {
    const tabs = await Promise.all(Array.from({ length: 8 }, () => open()));
    await Promise.all(tabs.map((tab) => tab.isLive()));
    await server.redis('HSET AAPL price 180.01');
    await Promise.all(tabs.map((tab) => tab.shows('AAPL', 'price', '180.01')));
    const { clients } = await server.ask('/v1/clients');
    assert.equal(clients.filter(({ name }) => name === 'dashboard').length, 8);
  }));

test('everything is done with the keyboard alone', () =>
  play({ prepare: SOME }, async ({ open }) => {
    const { page, ...tab } = await open();
    await page.waitForSelector('body[data-state="live"]');
    const active = () => page.evaluate(() => document.activeElement?.id);
    await page.keyboard.press('/');
    assert.equal(await active(), 'filter');
    await page.keyboard.type('BRK');
    await page.waitForFunction(() => document.querySelectorAll('#rows > .row:not([hidden])').length === 2);
    await page.keyboard.press('Enter');
    assert.equal(await active(), 'grid');
    await page.keyboard.press('End');
    const named = () =>
      page.evaluate(() => {
        const id = document.querySelector('#grid').getAttribute('aria-activedescendant');
        return document.getElementById(id).querySelector('.symbol').textContent;
      });
    assert.equal(await named(), 'BRK/B');
    await page.keyboard.press('ArrowUp');
    assert.equal(await named(), 'BRK/A');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'BRK/A' }).waitFor();
    await page.getByRole('button', { name: 'Buy' }).waitFor();
    await page.getByLabel('Shares', { exact: true }).focus();
    await page.keyboard.type('2');
    await page.keyboard.press('Enter');
    await page.getByText('Bought 2. 10 are left.').waitFor();
    await page.keyboard.press('Escape');
    await page.locator('#grid').waitFor();
    assert.equal(await active(), 'grid');
    // What the Tab key comes to is seen, and there is a way to each of it.
    const seen = new Set();
    for (let at = 0; at < 12; at++) {
      await page.keyboard.press('Tab');
      seen.add(await page.evaluate(() => document.activeElement?.id || document.activeElement?.textContent.trim()));
    }
    for (const name of ['filter', 'grid', 'theme', 'Server', 'Subscribers']) assert.ok(seen.has(name), name);
    void tab;
  }));

test('a price is readable while it flashes, light and dark', async () => {
  for (const colorScheme of ['light', 'dark']) {
    await play({ prepare: SOME, context: { colorScheme } }, async ({ open }) => {
      const tab = await open();
      await tab.isLive();
      await tab.shows('OIL', 'price', '-37.63');
      await tab.page.evaluate(AXE);
      // As bright as a flash begins, for as long as it is looked at.
      const flashes = await tab.page.evaluate(() => {
        document.styleSheets[0].insertRule('.flash { --glow: 6 !important }', 0);
        return document.querySelectorAll('.flash').length;
      });
      assert.ok(flashes >= SOME.length);
      for (const under of ['OIL', 'AAPL', 'TINY']) {
        await tab.row(under).hover();
        for (const sign of ['0', '1', '-1']) {
          const { violations } = await tab.page.evaluate((sign) => {
            for (const flash of document.querySelectorAll('.flash')) flash.setAttribute('data-sign', sign);
            for (const row of document.querySelectorAll('.row')) {
              if (/TINY|SOLD/.test(row.textContent)) row.setAttribute('data-stale', '');
            }
            return globalThis.axe.run('#grid', { runOnly: ['color-contrast'] });
          }, sign);
          const shown = violations.flatMap(({ nodes }) => nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`));
          assert.deepEqual(shown, [], `${under} ${sign} ${colorScheme}`);
        }
      }
    });
  }
});

test('axe finds nothing serious, light and dark', async () => {
  for (const colorScheme of ['light', 'dark']) {
    await play({ prepare: SOME, context: { colorScheme } }, async ({ open }) => {
      const tab = await open();
      // Another one, so that there is a subscriber to show.
      await (await open()).isLive();
      await tab.isLive();
      for (const hash of ['#/', '#/stock/AAPL', '#/server', '#/subscribers']) {
        await tab.page.evaluate((hash) => (location.hash = hash), hash);
        await tab.page.waitForFunction(() => !document.querySelector('main:not([hidden])').textContent.includes('undefined'));
        if (hash === '#/server') await tab.page.getByText('all is well').waitFor();
        if (hash === '#/subscribers') await tab.page.getByRole('cell', { name: 'dashboard' }).first().waitFor();
        await tab.page.evaluate(AXE);
        const { violations } = await tab.page.evaluate(() => globalThis.axe.run());
        const serious = violations.filter(({ impact }) => ['serious', 'critical'].includes(impact));
        const shown = serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).slice(0, 3)}`);
        assert.deepEqual(shown, [], `${hash} ${colorScheme}`);
      }
    });
  }
});

test('it fits a phone', () =>
  play({ prepare: SOME, context: { viewport: { width: 360, height: 740 } } }, async ({ open }) => {
    const tab = await open();
    await tab.shows('AAPL', 'price', '172.5');
    for (const hash of ['#/', '#/stock/AAPL', '#/server', '#/subscribers']) {
      await tab.page.evaluate((hash) => (location.hash = hash), hash);
      const width = await tab.page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(width <= 360, `${hash} is ${width} wide`);
    }
    await tab.page.evaluate(() => (location.hash = '#/'));
    const { x, width } = await tab.row('AAPL').locator('.price').boundingBox();
    assert.ok(x >= 0 && x + width <= 360, `${x} ${width}`);
  }));

/** Two catalog files: twenty stocks, then with other prices, without the first and with one more. */
async function catalogs(it) {
  const { mkdtemp, rm, writeFile } = await import('node:fs/promises');
  const folder = await mkdtemp(`${process.env.TMPDIR ?? '/tmp'}/stockd-dashboard-`);
  it.after(() => rm(folder, { recursive: true }));
  for (const which of [0, 1]) {
    const rows = Array.from({ length: 20 }, (_, at) => at + which).map((at) => {
      return `S${String(at).padStart(2, '0')},${1000 * which + at},${at * 3}`;
    });
    await writeFile(`${folder}/${which}.csv`, `symbol,price,volume\n${rows.join('\n')}\n`);
  }
  return { catalog: (which) => `${folder}/${which}.csv` };
}

/** An access file with three users, and their tokens. */
async function accessFile(it) {
  const { spawnSync } = await import('node:child_process');
  const { mkdtemp, rm, writeFile } = await import('node:fs/promises');
  const folder = await mkdtemp(`${process.env.TMPDIR ?? '/tmp'}/stockd-dashboard-`);
  it.after(() => rm(folder, { recursive: true }));
  const rights = {
    feed: 'read = ["*"]\nwrite = ["*"]',
    desk: 'read = ["US.*"]\ntrade = ["US.A"]',
    ops: 'read = ["*"]\nrights = ["admin", "metrics"]',
  };
  const token = {};
  let text = '';
  for (const [name, granted] of Object.entries(rights)) {
    const made = spawnSync(process.env.STOCKD_BINARY, ['token', 'new', name], { encoding: 'utf8' });
    const printed = made.stdout + made.stderr;
    token[name] = /stk_\S+/.exec(printed)[0];
    const hash = /sha256:[0-9a-f]+/.exec(printed)[0];
    text += `[[user]]\nname = "${name}"\ntokens = ["${hash}"]\n${granted}\n`;
  }
  const access = `${folder}/access.toml`;
  await writeFile(access, text, { mode: 0o600 });
  return { token, access };
}

/** Three stocks, listed by who may. */
async function fill(server, token) {
  for (const symbol of ['US.A', 'US.B', 'EU.A']) {
    await server.ask(`/v1/stocks/${symbol}`, {
      method: 'PUT',
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ price: '1', volume: '10' }),
    });
  }
}
