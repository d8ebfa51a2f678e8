// Work over many deliveries: what it would be is seen first, and what cannot be undone is asked twice.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';

import { World } from './world.mjs';

let world, state, server;
let got = [];
before(async () => {
  world = await World.start();
  const page = await world.visitor();
  await world.becomeOwner(page);
  state = await page.context().storageState();
  server = createServer((request, response) => {
    got.push(request.headers['webhook-id']);
    request.resume();
    request.on('end', () => response.writeHead(204).end());
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
});
after(async () => {
  server?.close();
  await world?.end();
});

const here = (path) => `http://127.0.0.1:${server.address().port}${path}`;
const done = (page) => page.locator('#job .head').getByText('done', { exact: true }).waitFor();

test('an endpoint that came later is sent what it missed', async () => {
  for (const who of ['early-1', 'early-2', 'early-3']) await world.record(who);
  const late = await world.call('POST', '/abide/v1/endpoints', { url: here('/late'), description: 'Came later' });
  const page = await world.visitor({ storageState: state });
  await page.goto('/deliveries?type=consent.created');
  await page.getByRole('link', { name: 'Send missed events' }).click();
  await page.getByLabel('Endpoint').selectOption(late.id);
  await page.getByRole('button', { name: 'Count them' }).click();
  await page.getByRole('heading', { name: '3 events would be sent' }).waitFor();
  await page.locator('.facts').getByText('consent.created').waitFor();
  assert.deepEqual(got, [], 'counting sends nothing');
  await page.getByRole('button', { name: 'Send them' }).click();
  await page.getByText('The work has begun.').waitFor();
  await done(page);
  await page.locator('.figures dd').first().getByText('3', { exact: true }).waitFor();
  for (let turn = 0; got.length < 3; turn += 1) {
    assert.ok(turn < 100, `${got.length} came`);
    await page.waitForTimeout(100);
  }
  assert.equal(new Set(got).size, 3);
  await page.goto(`/jobs/new?kind=replay_missing&endpoint=${late.id}`);
  await page.getByRole('heading', { name: 'Nothing was missed' }).waitFor();
  assert.deepEqual(page.troubles, []);
});

for (const javaScriptEnabled of [true, false]) {
  test(`what waits for a paused endpoint is given up once that was said twice, ${javaScriptEnabled ? 'with' : 'without'} JavaScript`, async () => {
    const endpoint = await world.call('POST', '/abide/v1/endpoints', { url: here('/paused') });
    await world.call('POST', `/abide/v1/endpoints/${endpoint.id}/pause`);
    for (const who of ['held-1', 'held-2']) await world.record(`${who}-${javaScriptEnabled}`);
    const page = await world.visitor({ javaScriptEnabled, storageState: state });
    await page.goto(`/deliveries?endpoint=${endpoint.id}&state=held`);
    assert.equal(await page.getByRole('link', { name: 'Retry failed ones' }).count(), 0, 'what is held is not retried');
    await page.getByRole('link', { name: 'Give up waiting ones' }).click();
    await page.getByRole('heading', { name: '2 deliveries would be given up' }).waitFor();
    await page.getByText('This cannot be undone.').waitFor();
    await page.locator('.facts').getByText('held', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'Give them up' }).click();
    await page.getByText('Tick this first: it cannot be undone.').waitFor();
    await page.getByRole('checkbox', { name: /never to be told/ }).check();
    await page.getByRole('button', { name: 'Give them up' }).click();
    await page.getByText('The work has begun.').waitFor();
    await done(page);
    await page.goto(`/deliveries?endpoint=${endpoint.id}&state=discarded`);
    assert.equal(await page.getByRole('row').count(), 3);
    assert.deepEqual(page.troubles, []);
  });
}

test('a filter that a job cannot be about says so', async () => {
  const page = await world.visitor({ storageState: state });
  await page.goto('/jobs/new?kind=retry_failed&state=held');
  await page.getByRole('alert').getByText(/must be of `failed`/).waitFor();
  assert.equal(await page.getByRole('button', { name: 'Retry them' }).count(), 0);
});
