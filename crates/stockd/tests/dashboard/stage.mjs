// What plays with the dashboard: servers of stockd, and pages of a browser whose faults are kept.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import readline from 'node:readline';
import { chromium } from 'playwright-core';

/** A guard against hanging alone: nothing is measured by it. */
export const PATIENCE_MS = 120_000;

const running = new Set();

process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

/** A running server. */
export class Server {
  /** Starts one with these settings, whose addresses are free ones unless they are given. */
  static async start({ http = '127.0.0.1:0', resp = '127.0.0.1:0', line = 'off', dataDir = null, args = [] } = {}) {
    const settings = ['serve', ...(dataDir === null ? ['--ephemeral'] : ['--data-dir', dataDir]), '--log', 'off'];
    const environment = Object.entries(process.env).filter(([name]) => !name.startsWith('STOCKD_'));
    const child = spawn(
      process.env.STOCKD_BINARY,
      [...settings, '--line', line, '--resp', resp, '--http', http, ...args],
      { env: Object.fromEntries(environment), stdio: ['ignore', 'pipe', 'inherit'] },
    );
    running.add(child);
    const server = new Server();
    server.child = child;
    server.exited = once(child, 'exit').then(() => running.delete(child));
    const lines = readline.createInterface({ input: child.stdout });
    for await (const line of lines) {
      const [protocol, address] = line.split(' ');
      server[protocol] = address;
      if (protocol === 'http') break;
    }
    if (server.http === undefined) throw new Error('the server does not listen');
    child.stdout.resume();
    server.page = `http://${server.http}/`;
    return server;
  }

  async kill() {
    this.child.kill('SIGKILL');
    await this.exited;
  }

  /** What the server answers to commands of RESP, all sent at once. */
  async redis(...commands) {
    const [host, port] = this.resp.split(':');
    const socket = net.connect(Number(port), host);
    await once(socket, 'connect');
    socket.end(`${commands.join('\r\n')}\r\n`);
    let answer = '';
    for await (const bytes of socket) answer += bytes;
    if (answer.startsWith('-') || answer.includes('\n-')) throw new Error(answer);
    return answer;
  }

  async ask(path, options = {}) {
    const response = await fetch(new URL(path, this.page), options);
    return response.status === 204 ? null : response.json();
  }

  /** All stocks by their names. */
  async stocks() {
    const found = new Map();
    let cursor;
    do {
      const more = cursor === undefined ? '' : `&cursor=${cursor}`;
      const page = await this.ask(`/v1/stocks?limit=1000${more}`);
      for (const quote of page.quotes) found.set(quote.symbol, quote);
      cursor = page.next;
    } while (cursor !== undefined);
    return found;
  }
}

/** A browser, with what it takes to run as root and without a screen. */
export function launch({ args = [], ...options } = {}) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', ...args],
    ...options,
  });
}

/** A page, and what went wrong on it. */
export class Tab {
  static async open(context, server, hash = '') {
    const tab = new Tab();
    tab.page = await context.newPage();
    tab.page.setDefaultTimeout(PATIENCE_MS);
    tab.faults = [];
    const fault = (text) => tab.faults.push(text);
    tab.page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) fault(`console: ${message.text()}`);
    });
    tab.page.on('pageerror', (error) => fault(`error: ${error}`));
    tab.page.on('request', (request) => {
      const isOwn = request.url().startsWith(server.page) || request.url().startsWith('data:');
      if (!isOwn) fault(`request elsewhere: ${request.url()}`);
    });
    tab.page.on('websocket', (socket) => {
      if (new URL(socket.url()).host !== server.http) fault(`socket elsewhere: ${socket.url()}`);
    });
    await tab.page.exposeFunction('noteViolation', (text) => fault(`policy: ${text}`));
    await tab.page.addInitScript(() => {
      addEventListener('securitypolicyviolation', (event) => {
        globalThis.noteViolation(`${event.effectiveDirective} ${event.blockedURI}`);
      });
    });
    await tab.page.goto(`${server.page}${hash}`);
    return tab;
  }

  /** The row of a stock in the table. */
  row(symbol) {
    const link = this.page.getByRole('link', { name: symbol, exact: true });
    return this.page.locator('#rows > .row').filter({ has: link });
  }

  /** Waits until the row of a stock has this text in a column. */
  async shows(symbol, column, text) {
    await this.page.waitForFunction(
      ([symbol, column, text]) => {
        const rows = [...document.querySelectorAll('#rows > .row:not([hidden])')];
        const row = rows.find((row) => row.querySelector('.symbol').textContent === symbol);
        return row?.querySelector(`.${column}`).textContent === text;
      },
      [symbol, column, text],
    );
  }

  /** Waits until it is live. */
  async isLive() {
    await this.page.waitForSelector('body[data-state="live"]');
  }

  /** What the rows in sight show, by the names of their stocks. */
  async rows() {
    return new Map(
      await this.page.evaluate(() =>
        [...document.querySelectorAll('#rows > .row:not([hidden])')].map((row) => {
          const text = (column) => row.querySelector(`.${column}`).textContent;
          const isStale = row.hasAttribute('data-stale');
          const [price, bid, ask] = ['price', 'bid', 'ask'].map(text);
          return [text('symbol'), { price, bid, ask, volume: text('volume'), status: text('status'), isStale }];
        }),
      ),
    );
  }

  async close() {
    await this.page.close();
  }
}
