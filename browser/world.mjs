// A world for a test: `abide serve` on a folder of its own, a browser, and receivers as processes.

import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { axe, chromium } from './libraries.mjs';

export const PASSWORD = 'correct horse battery';
const PATIENCE = 20_000; // Milliseconds.
const PROGRAM = process.env.ABIDE_PROGRAM ?? new URL('../target/debug/abide', import.meta.url).pathname;

// A process that can be waited for by what it says.
class Process {
  constructor(command, words, options = {}) {
    this.said = '';
    this.waiting = new Set();
    this.child = spawn(command, words, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    const hear = (text) => {
      this.said += text;
      for (const look of this.waiting) look();
    };
    this.child.stdout.on('data', hear);
    this.child.stderr.on('data', hear);
    this.ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.ended.then(() => hear('\n(ended)\n'));
  }

  // The first match of what it has said or says.
  says(pattern, patience = PATIENCE) {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => done(reject, new Error(`${pattern} was not said:\n${this.said}`)), patience);
      const done = (settle, value) => {
        clearTimeout(late);
        this.waiting.delete(look);
        settle(value);
      };
      const look = () => {
        const found = this.said.match(pattern);
        if (found) done(resolve, found);
      };
      this.waiting.add(look);
      look();
    });
  }

  async stop() {
    this.child.kill();
    await this.ended;
  }
}

// A port that nobody listens on at this moment.
export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export class World {
  static async start() {
    const world = new World();
    world.folder = await mkdtemp(join(tmpdir(), 'abide-browser-'));
    const data = join(world.folder, 'data');
    const words = ['serve', '--data', data, '--listen', '127.0.0.1:0', '--dev'];
    world.abide = new Process(PROGRAM, words, { env: { ...process.env, ABIDE_LOG: 'warn' } });
    [, world.url] = await world.abide.says(/listening on (http:\S+)/, 60_000);
    world.ownerLink = (await readFile(`${data}.owner-link.txt`, 'utf8')).trim();
    world.key = JSON.parse(await readFile(`${data}.admin-key.json`, 'utf8'));
    // Debian's own; the library brings none.
    const root = process.getuid() === 0 ? ['--no-sandbox'] : [];
    const executablePath = process.env.ABIDE_CHROMIUM ?? '/usr/bin/chromium';
    world.browser = await chromium.launch({ executablePath, args: ['--disable-gpu', ...root] });
    world.processes = [];
    return world;
  }

  async end() {
    await this.browser?.close();
    for (const process of this.processes ?? []) await process.stop();
    await this.abide?.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  // A browser of somebody's own. Everything that the page policy refuses, and every error of a script, fails the test.
  async visitor(options = {}) {
    const context = await this.browser.newContext({ baseURL: this.url, locale: 'en-GB', timezoneId: 'Europe/Berlin', ...options });
    context.setDefaultTimeout(PATIENCE);
    const page = await context.newPage();
    page.troubles = [];
    page.on('console', (message) => {
      const text = message.text();
      if (message.type() === 'error' && !/status of 4\d\d/.test(text)) page.troubles.push(text);
    });
    page.on('pageerror', (error) => page.troubles.push(String(error)));
    return page;
  }

  // The first owner: takes the link and signs in.
  async becomeOwner(page) {
    await page.goto(this.ownerLink);
    await page.getByLabel('Your name').fill('Ada Lovelace');
    await page.getByLabel('E-mail').fill('ada@example.org');
    await page.getByLabel('New password').fill(PASSWORD);
    await page.getByLabel('The same again').fill(PASSWORD);
    await page.locator('main button, .card button').first().click();
    await this.signIn(page);
  }

  async signIn(page, email = 'ada@example.org') {
    await page.goto('/sign-in');
    await page.getByLabel('E-mail').fill(email);
    await page.getByLabel('Password').fill(PASSWORD);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
  }

  // Runs a program as somebody would who copied it.
  async receiver(command, file, source) {
    await writeFile(join(this.folder, file), source);
    const [program, ...words] = command.split(' ');
    const { WEBHOOK_SECRET, PORT, ...env } = process.env;
    const running = new Process(program, words, { cwd: this.folder, env });
    this.processes.push(running);
    await running.says(/listening on http/);
    return running;
  }

  // Calls the API with the first key.
  async call(method, path, body) {
    const headers = { authorization: `Bearer ${this.key.bearer_token}`, 'content-type': 'application/json' };
    const answer = await fetch(this.url + path, { method, headers, body: body && JSON.stringify(body) });
    if (!answer.ok) await new Promise((resolve) => setTimeout(resolve, 1000));
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}\n${this.abide.said}`);
    return answer.json();
  }

  // A decision of somebody's, as an application records it.
  record(who, granted = true) {
    return this.call('POST', '/v1/consent', { subject_id: who, consent_type: 'marketing', granted });
  }
}

// What axe-core finds on the page as it stands.
export async function findings(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, {
    runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
  }));
  return violations.flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => `${id} at ${target}: ${failureSummary}`));
}
