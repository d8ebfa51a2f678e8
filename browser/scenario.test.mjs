// What the dashboard is for: from a first sign-in to a mended receiver, without a terminal beside the receiver's own.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { World, freePort } from './world.mjs';

let world;
before(async () => { world = await World.start(); });
after(() => world?.end());

// Fills in the wizard; answers the port that the endpoint sends to.
async function createEndpoint(page, note) {
  const port = await freePort();
  await page.goto('/endpoints');
  await page.getByRole('link', { name: /Create the first endpoint|New endpoint/ }).click();
  await page.getByLabel('URL', { exact: true }).fill(`http://127.0.0.1:${port}/`);
  await page.getByRole('radio', { name: /Standard Webhooks/ }).check();
  await page.getByLabel('Note').fill(note);
  await page.getByRole('button', { name: 'Create endpoint' }).click();
  await page.getByRole('heading', { name: 'Your endpoint is ready' }).waitFor();
  return port;
}

// The program in a language, as the page shows it for copying.
async function program(page, language) {
  const block = page.locator('details[name=receiver]', { has: page.getByText(language, { exact: true }) });
  return (await block.locator('[data-copy]').textContent());
}

const result = (page) => page.locator('#test-result');

test('a new user sees a webhook verified, a failure with its reason, and mends it', async () => {
  const page = await world.visitor();
  await world.becomeOwner(page);
  const port = await createEndpoint(page, 'The shop');
  const secret = await page.getByLabel('Secret', { exact: true }).locator('code').textContent();
  assert.match(secret, /^whsec_/);
  const source = await program(page, 'Node.js');
  assert.ok(source.includes(`'${secret}'`) && source.includes(`'${port}'`), 'secret and port stand in the program');
  const here = page.url();

  let receiver = await world.receiver('node node.mjs', 'node.mjs', source);
  await page.getByRole('button', { name: 'Send test' }).click();
  await result(page).getByText('The receiver took it: it answered 204.').waitFor();
  assert.match(await result(page).textContent(), /It took \d/);
  assert.equal(page.url(), here, 'the page with the secret is still there');
  assert.ok(await page.getByText(secret, { exact: true }).first().isVisible());
  await receiver.says(/consent.created evt_\S+ verified/);

  // Broken: it verifies with another secret.
  await receiver.stop();
  receiver = await world.receiver('node node.mjs', 'node.mjs', source.replace(secret, `${secret.slice(0, -6)}AAAAA=`));
  await page.getByRole('button', { name: 'Send test' }).click();
  await result(page).getByText(/The receiver answered 401/).waitFor();
  await result(page).getByText(/verifies with this endpoint's secret/).waitFor();
  await receiver.says(/refused/);

  // Broken otherwise: it does not run. A real event this time; its delivery fails and is tried again later.
  await receiver.stop();
  await world.record('user-1');
  await page.getByRole('link', { name: 'Deliveries' }).first().click();
  const row = page.getByRole('row').filter({ hasNot: page.getByText('test', { exact: true }) }).nth(1);
  await assert.doesNotReject(async () => {
    for (let turn = 0; !(await row.textContent()).includes('Nothing accepts connections'); turn += 1) {
      assert.ok(turn < 50, await row.textContent());
      await page.waitForTimeout(200);
      await page.reload();
    }
  });
  await row.getByRole('link', { name: 'consent.created' }).click();
  await page.getByText(/Check that the receiver is running/).waitFor();

  // Mended; one click.
  receiver = await world.receiver('node node.mjs', 'node.mjs', source);
  await page.getByRole('button', { name: /Retry now|Send again/ }).click();
  await page.getByText('It is sent again, under the same event id.').waitFor();
  await page.locator('#delivery .head').getByText('delivered').waitFor();
  await receiver.says(/consent.created evt_\S+ verified/);
  await receiver.stop();

  // The secret is nowhere any more.
  await page.goto('/endpoints');
  await page.getByRole('link', { name: `127.0.0.1:${port}` }).click();
  assert.ok(!(await page.content()).includes(secret));
  assert.ok((await program(page, 'Node.js')).includes('PASTE-THE-SECRET-HERE'));
  assert.deepEqual(page.troubles, []);
});

test('the receiver in Python runs as it was copied, without JavaScript in the browser', async () => {
  const page = await world.visitor({ javaScriptEnabled: false });
  await world.signIn(page);
  await createEndpoint(page, 'In Python');
  const receiver = await world.receiver('python3 python.py', 'python.py', await program(page, 'Python'));
  const secret = await page.locator('code[data-copy]').first().textContent();
  const [answer] = await Promise.all([
    page.context().waitForEvent('page'),
    page.getByRole('button', { name: 'Send test' }).click(),
  ]);
  await result(answer).getByText('The receiver took it: it answered 204.').waitFor();
  await receiver.says(/verified/);
  await answer.getByRole('link', { name: 'See the delivery' }).click();
  await answer.getByRole('heading', { name: 'consent.created' }).waitFor();
  // A test is not sent again under its id: another one is sent.
  assert.equal(await answer.getByRole('button', { name: 'Send again' }).count(), 0);
  assert.equal(await page.locator('code[data-copy]').first().textContent(), secret, 'still there');
  await world.record('grace');
  await receiver.says(/verified[^]*verified/);
});

test('the wizard is walked through by keyboard alone', async () => {
  const page = await world.visitor();
  await world.signIn(page);
  await page.goto('/endpoints/new');
  const focused = (selector) => page.waitForFunction((wanted) => document.activeElement.matches(wanted), selector);
  const tabTo = async (selector) => {
    for (let turn = 0; turn < 40; turn += 1) {
      await page.keyboard.press('Tab');
      if (await page.evaluate((wanted) => document.activeElement.matches(wanted), selector)) return;
    }
    assert.fail(`${selector} is not reached`);
  };
  await page.keyboard.press('Tab');
  await focused('.skip');
  await page.keyboard.press('Enter');
  await tabTo('#url');
  await page.keyboard.type(`http://127.0.0.1:${await freePort()}/keys`);
  await tabTo('[name=dialect]');
  await page.keyboard.press('ArrowDown');
  await focused('[value=consentproof]');
  await page.keyboard.press('ArrowUp');
  await tabTo('[name=scope]');
  await page.keyboard.press('ArrowDown');
  await focused('[value=some]');
  await page.keyboard.press('Tab');
  await focused('[value="consent.created"]');
  await page.keyboard.press('Space');
  await tabTo('#note');
  await page.keyboard.type('By keyboard');
  // A group opens and closes by keyboard; its fields are reached only while it is open.
  await page.keyboard.press('Tab');
  await focused('details.extra > summary');
  await page.keyboard.press('Space');
  await page.keyboard.press('Tab');
  await focused('[name=secret_form]');
  await page.keyboard.press('Shift+Tab');
  await page.keyboard.press('Space');
  await tabTo('.steps button.primary');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Your endpoint is ready' }).waitFor();
  await tabTo('.copy');
  await tabTo('#type');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await result(page).getByText('Nothing accepts connections at the receiver').waitFor();
  assert.deepEqual(page.troubles, []);
});
