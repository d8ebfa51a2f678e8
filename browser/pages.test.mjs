// What holds on every page: for people who see otherwise, on small screens, in the dark, and without JavaScript.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { populated, secretPage } from './populated.mjs';
import { findings } from './world.mjs';

const DESKTOP = { width: 1280, height: 900 };
const PHONE = { width: 390, height: 844 };

let world, pages, state;
before(async () => { ({ world, pages, state } = await populated()); });
after(() => world?.end());

for (const [size, viewport] of [['desktop', DESKTOP], ['phone', PHONE]]) {
  for (const colorScheme of ['light', 'dark']) {
    test(`axe finds nothing on any page: ${size}, ${colorScheme}`, async () => {
      const page = await world.visitor({ viewport, colorScheme, storageState: state });
      const found = [];
      const look = async (name) => {
        for (const finding of await findings(page)) found.push(`${name}: ${finding}`);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        if (wide > 0) found.push(`${name}: ${wide} px wider than the screen`);
      };
      for (const [name, path] of Object.entries(pages)) {
        const answer = await page.goto(path);
        assert.equal(answer.status(), 200, path);
        await look(name);
      }
      await secretPage(page);
      await look('endpoint-secret');
      assert.deepEqual(found, []);
      assert.deepEqual(page.troubles, []);
      await page.context().close();
      const visitor = await world.visitor({ viewport, colorScheme });
      await visitor.goto('/sign-in');
      assert.deepEqual(await findings(visitor), []);
      await visitor.context().close();
    });
  }
}

test('every page says what it has to without JavaScript', async () => {
  const page = await world.visitor({ javaScriptEnabled: false, storageState: state });
  const plain = await world.visitor({ storageState: state });
  for (const path of Object.values(pages)) {
    assert.equal((await page.goto(path)).status(), 200, path);
    assert.ok(await page.locator('main h1').isVisible(), path);
    await plain.goto(path);
    const links = (from) => from.locator('main a[href], main form').count();
    assert.equal(await links(page), await links(plain), `${path}: the script adds no way that is not there without it`);
  }
  // Times are there, in UTC.
  await page.goto('/deliveries');
  assert.match(await page.locator('main time').first().textContent(), /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/);
  await plain.goto('/deliveries');
  assert.match(await plain.locator('main time').first().textContent(), /GMT\+[12]$/);
});

test('failed deliveries are retried in one go, and its progress is seen', async () => {
  const page = await world.visitor({ storageState: state });
  await page.goto(pages['deliveries-filtered']);
  await page.getByRole('link', { name: 'Retry failed ones' }).click();
  const [, count] = (await page.getByRole('heading', { name: /would be sent again/ }).textContent()).match(/(\d+) deliver/);
  assert.ok(Number(count) >= 3);
  await page.getByRole('button', { name: 'Retry them' }).click();
  await page.locator('#job .head').getByText('done', { exact: true }).waitFor();
  await page.locator('.figures dd').first().getByText(count, { exact: true }).waitFor();
  assert.deepEqual(page.troubles, []);
});

test('a key is made, works, and is revoked', async () => {
  const page = await world.visitor({ storageState: state });
  await page.goto('/keys/new');
  await page.getByLabel('Name').fill('A script');
  await page.getByRole('checkbox', { name: /webhooks:read/ }).check();
  await page.getByRole('button', { name: 'Create key' }).click();
  const token = await page.getByLabel('Bearer token').locator('code').textContent();
  const call = (path) => fetch(world.url + path, { headers: { authorization: `Bearer ${token}` } });
  assert.equal((await call('/abide/v1/endpoints')).status, 200);
  assert.equal((await call('/abide/v1/keys')).status, 403);
  await page.reload();
  await page.getByRole('heading', { name: 'The key is not shown again' }).waitFor();
  assert.ok(!(await page.content()).includes(token));
  await page.getByRole('link', { name: 'To the API keys' }).click();
  assert.equal(await page.getByRole('row').filter({ hasText: 'A script' }).count(), 1, 'reloading made no second one');
  assert.ok(!(await page.content()).includes(token));
  await page.getByRole('link', { name: 'Revoke A script' }).click();
  await page.getByRole('button', { name: 'Revoke key' }).click();
  await page.getByText('The key is revoked').waitFor();
  assert.equal((await call('/abide/v1/endpoints')).status, 401);
  await page.goto('/audit?action=key.revoke');
  await page.getByRole('cell', { name: 'Ada Lovelace' }).waitFor();
});

test('an endpoint is changed, paused, resumed, given another secret and deleted', async () => {
  const page = await world.visitor({ storageState: state });
  await page.goto(pages['endpoint-paused']);
  await page.getByRole('button', { name: 'Resume' }).click();
  await page.getByText('The endpoint is active again.').waitFor();
  await page.getByLabel('Note').fill('The new CRM');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.locator('.facts').getByText('The new CRM').waitFor();
  await page.getByRole('button', { name: 'Replace secret' }).click();
  await page.getByRole('heading', { name: 'The new secret' }).waitFor();
  await page.getByRole('link', { name: 'To the endpoint' }).click();
  await page.getByRole('button', { name: 'Delete' }).click();
  await page.getByText(/Must be `127.0.0.1/).waitFor();
  const [, host] = (await page.getByText(/To confirm, type/).textContent()).match(/type (\S+)\./);
  await page.getByLabel("Type the endpoint's host to confirm").fill(host);
  await page.getByRole('button', { name: 'Delete' }).click();
  await page.getByText('The endpoint was deleted.').waitFor();
  assert.deepEqual(page.troubles, []);
});
