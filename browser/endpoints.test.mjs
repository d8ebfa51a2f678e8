// An endpoint with everything that it can be given, as somebody does it who needs more than the usual.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { World, findings, freePort } from './world.mjs';

let world, state;
before(async () => {
  world = await World.start();
  const page = await world.visitor();
  await world.becomeOwner(page);
  state = await page.context().storageState();
});
after(() => world?.end());

const HIDDEN = 'hidden-marker';
const endpoints = async () => (await world.call('GET', '/abide/v1/endpoints?limit=100')).items;
const open = (page, name) => page.locator('details.extra > summary', { hasText: name }).click();

for (const javaScriptEnabled of [true, false]) {
  test(`a form with a mistake keeps what was typed and no secret ${javaScriptEnabled ? 'with' : 'without'} JavaScript`, async () => {
    const page = await world.visitor({ javaScriptEnabled, storageState: state });
    const before = (await endpoints()).length;
    await page.goto('/endpoints/new');
    await page.getByLabel('URL', { exact: true }).fill('https://partner.example/hooks');
    await page.getByLabel('Note').fill('The partner');
    await open(page, 'Signing secret');
    assert.equal(await page.getByLabel('Your secret', { exact: true }).isVisible(), false, 'it is asked for once it is chosen');
    await page.getByRole('radio', { name: /Bring your own/ }).check();
    await page.getByLabel('Your secret', { exact: true }).fill(HIDDEN);
    await open(page, 'Authentication');
    assert.equal(await page.getByLabel('Client secret', { exact: true }).isVisible(), false);
    await page.getByRole('radio', { name: /OAuth 2.0/ }).check();
    await page.getByLabel('Token server', { exact: true }).fill('https://id.example/token');
    await page.getByLabel('Client id', { exact: true }).fill('abide');
    await page.getByLabel('Client secret', { exact: true }).fill(HIDDEN);
    await page.getByLabel('Headers', { exact: true }).fill(`X-Tenant: ${HIDDEN}`);
    await open(page, 'Retries and deadline');
    await page.getByLabel('Retries', { exact: true }).fill('5, soon');
    await page.getByRole('button', { name: 'Create endpoint' }).click();
    await page.getByRole('alert').getByText('Nothing was created yet').waitFor();
    await page.getByText('Number 2 must be a whole number.').waitFor();
    assert.equal((await endpoints()).length, before);
    assert.ok(!(await page.content()).includes(HIDDEN));
    for (const [label, value] of [
      ['URL', 'https://partner.example/hooks'], ['Note', 'The partner'], ['Token server', 'https://id.example/token'], ['Client id', 'abide'],
      ['Client secret', ''], ['Your secret', ''], ['Retries', '5, soon'],
    ]) {
      assert.equal(await page.getByLabel(label, { exact: true }).inputValue(), value, label);
    }
    assert.equal((await page.getByLabel('Headers', { exact: true }).inputValue()).trim(), 'X-Tenant:');
    assert.deepEqual(javaScriptEnabled ? await findings(page) : [], []);

    // Mended: the secrets are typed again.
    await page.getByRole('radio', { name: /A shared secret/ }).check();
    await page.getByLabel('Client secret', { exact: true }).fill(HIDDEN);
    await page.getByLabel('Headers', { exact: true }).fill(`X-Tenant: ${HIDDEN}`);
    await page.getByLabel('Retries', { exact: true }).fill('5, 300');
    await page.getByRole('button', { name: 'Create endpoint' }).click();
    await page.getByRole('heading', { name: 'Your endpoint is ready' }).waitFor();
    const [made] = await endpoints();
    assert.deepEqual(made.auth, {
      headers: ['x-tenant'], authorization: 'oauth2', token_url: 'https://id.example/token', client_certificate: false, trusted_roots: false,
    });
    assert.deepEqual(made.retry_delays, [5, 300]);
    await page.getByRole('link', { name: 'To the endpoint' }).click();
    await page.locator('.facts').getByText('header x-tenant, oauth2 authorization').waitFor();
    assert.ok(!(await page.content()).includes(HIDDEN));
    assert.deepEqual(page.troubles, []);
  });
}

test('a key pair is made, its receiver verifies, and reloading makes no second endpoint', async () => {
  const page = await world.visitor({ storageState: state });
  const port = await freePort();
  await page.goto('/endpoints/new');
  await page.getByLabel('URL', { exact: true }).fill(`http://127.0.0.1:${port}/`);
  await open(page, 'Signing secret');
  await page.getByRole('radio', { name: /A key pair/ }).check();
  await page.getByRole('button', { name: 'Create endpoint' }).click();
  await page.getByRole('heading', { name: 'Your endpoint is ready' }).waitFor();
  const made = await endpoints();
  const secret = await page.getByLabel('Secret', { exact: true }).locator('code').textContent();
  const key = await page.getByLabel('Public key', { exact: true }).locator('code').textContent();
  assert.match(secret, /^whsk_/);
  assert.match(key, /^whpk_/);
  assert.ok(!page.url().includes(secret));
  const block = page.locator('details[name=receiver]', { has: page.getByText('Node.js', { exact: true }) });
  const source = await block.locator('[data-copy]').textContent();
  assert.ok(source.includes(key) && !source.includes(secret), 'the receiver holds the public key alone');
  const receiver = await world.receiver('node pair.mjs', 'pair.mjs', source);
  await page.getByRole('button', { name: 'Send test' }).click();
  await page.locator('#test-result').getByText('The receiver took it: it answered 204.').waitFor();
  await receiver.says(/verified/);

  await page.reload();
  await page.getByRole('heading', { name: 'The secret is not shown again' }).waitFor();
  assert.ok(!(await page.content()).includes(secret));
  assert.deepEqual(await findings(page), []);
  assert.equal((await endpoints()).length, made.length);

  // Another pair: its public key is shown, and both sign for a day.
  await page.getByRole('link', { name: 'To the endpoint' }).click();
  await page.locator('.facts').getByText(key).waitFor();
  assert.ok(await page.getByRole('radio', { name: /A key pair/ }).isChecked(), 'it stays what it is unless somebody wants otherwise');
  await page.getByRole('button', { name: 'Replace secret' }).click();
  await page.getByRole('heading', { name: 'The new secret' }).waitFor();
  const next = await page.getByLabel('Public key', { exact: true }).locator('code').textContent();
  assert.match(next, /^whpk_/);
  assert.notEqual(next, key);
  await page.reload();
  await page.getByRole('link', { name: 'To the endpoint' }).click();
  await page.locator('.facts').getByText(next).waitFor();
  await page.getByRole('button', { name: 'Send test' }).click();
  await page.locator('#test-result').getByText('The receiver took it: it answered 204.').waitFor();
  await receiver.stop();
  assert.deepEqual(page.troubles, []);
});

test('a secret that the receiver has already is brought along', async () => {
  const page = await world.visitor({ storageState: state });
  const own = `whsec_${Buffer.alloc(24, 7).toString('base64')}`;
  await page.goto('/endpoints/new');
  await page.getByLabel('URL', { exact: true }).fill('https://brought.example/');
  await open(page, 'Signing secret');
  await page.getByRole('radio', { name: /Bring your own/ }).check();
  await page.getByLabel('Your secret', { exact: true }).fill(own);
  await page.getByRole('button', { name: 'Create endpoint' }).click();
  await page.getByRole('heading', { name: 'Your endpoint is ready' }).waitFor();
  assert.equal(await page.getByLabel('Secret', { exact: true }).locator('code').textContent(), own);
});

test('credentials are replaced and removed, and never seen again', async () => {
  const page = await world.visitor({ storageState: state });
  const made = await world.call('POST', '/abide/v1/endpoints', { url: 'https://credentials.example/', auth: { headers: { 'x-old': HIDDEN } } });
  await page.goto(`/endpoints/${made.id}`);
  await page.getByRole('link', { name: 'Replace or remove' }).click();
  await page.getByText('header x-old', { exact: false }).first().waitFor();
  await page.getByRole('radio', { name: /Basic/ }).check();
  await page.getByLabel('User name', { exact: true }).fill('ada');
  await page.getByRole('button', { name: 'Replace' }).click();
  // The value of the header has to be typed again: an empty one is refused, and nothing was changed.
  await page.getByText(/`x-old` must be/).waitFor();
  await page.getByLabel('Headers', { exact: true }).fill('');
  await page.getByLabel('Password', { exact: true }).fill(HIDDEN);
  await page.getByRole('button', { name: 'Replace' }).click();
  await page.getByText('The authentication was replaced.').waitFor();
  await page.locator('.facts').getByText('basic authorization').waitFor();
  assert.ok(!(await page.content()).includes(HIDDEN) && !(await page.content()).includes('x-old'));
  await page.getByRole('link', { name: 'Replace or remove' }).click();
  assert.ok(!(await page.content()).includes(HIDDEN));
  await page.getByRole('button', { name: 'Remove' }).click();
  await page.getByText('The authentication was removed.').waitFor();
  await page.getByText('The signature is all that proves Abide').waitFor();
  await page.goto('/audit?action=endpoint.update');
  assert.ok(!(await page.content()).includes(HIDDEN));
  assert.deepEqual(page.troubles, []);
});
