// A world in which something has happened, for tests and pictures of every page.

import { createServer } from 'node:http';

import { World } from './world.mjs';

// Answers every request alike.
async function receiver(status, body = '') {
  const server = createServer((request, response) => {
    request.resume();
    request.on('end', () => response.writeHead(status, { 'content-type': 'text/plain' }).end(body));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

export async function populated() {
  const world = await World.start();
  try {
    return await populate(world);
  } catch (error) {
    await world.end();
    throw error;
  }
}

async function populate(world) {
  const good = await receiver(204);
  const bad = await receiver(503, 'The queue is full. Come back later.');
  const url = (server, path) => `http://127.0.0.1:${server.address().port}${path}`;
  const endpoint = (fields) => world.call('POST', '/abide/v1/endpoints', fields);
  const made = {
    good: await endpoint({ url: url(good, '/abide'), description: 'The shop' }),
    paused: await endpoint({ url: url(good, '/crm'), dialect: 'consentproof', description: 'The old CRM', events: ['consent.created', 'consent.withdrawn'] }),
    bad: await endpoint({ url: url(bad, '/hooks/newsletter'), description: 'Newsletter', retry_delays: [] }),
    // Everything that an endpoint can have, sent nothing by itself.
    pair: await endpoint({
      url: 'http://127.0.0.1:9/partner', description: 'A partner', secret_form: 'key_pair', events: ['policy.updated'],
      auth: { headers: { 'x-api-key': 'one', 'x-tenant': 'two' }, bearer: { token: 'three' } }, retry_delays: [5, 300], deadline_seconds: 7,
    }),
  };
  await world.call('POST', `/abide/v1/endpoints/${made.paused.id}/pause`);
  for (let number = 1; number <= 12; number += 1) await world.record(`user-${number}`);
  for (let number = 1; number <= 4; number += 1) await world.record(`user-${number}`, false);
  // Until some have failed; the rest wait, since an endpoint that keeps failing is left alone for a while.
  for (let turn = 0; ; turn += 1) {
    const { items } = await world.call('GET', `/abide/v1/deliveries?endpoint=${made.bad.id}&state=failed&limit=100`);
    if (items.length >= 3) {
      made.failed = items[0].id;
      break;
    }
    if (turn > 100) throw new Error(`only ${items.length} deliveries have failed`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  const job = await world.call('POST', '/abide/v1/jobs', { kind: 'retry_failed', endpoint: made.good.id });
  const page = await world.visitor();
  await world.becomeOwner(page);
  const state = await page.context().storageState();
  await page.context().close();
  const end = world.end.bind(world);
  world.end = async () => {
    for (const server of [good, bad]) server.close();
    await end();
  };
  // Every page of somebody signed in, by name.
  const pages = {
    overview: '/',
    endpoints: '/endpoints',
    'endpoint-new': '/endpoints/new',
    endpoint: `/endpoints/${made.good.id}`,
    'endpoint-failing': `/endpoints/${made.bad.id}`,
    'endpoint-paused': `/endpoints/${made.paused.id}`,
    'endpoint-pair': `/endpoints/${made.pair.id}`,
    'endpoint-authentication': `/endpoints/${made.pair.id}/authentication`,
    'endpoint-authentication-none': `/endpoints/${made.good.id}/authentication`,
    deliveries: '/deliveries',
    'deliveries-filtered': `/deliveries?endpoint=${made.bad.id}&state=failed`,
    'deliveries-none': '/deliveries?state=erased',
    delivery: `/deliveries/${made.failed}`,
    'job-new': '/jobs/new?state=failed',
    'job-new-replay': `/jobs/new?kind=replay_missing&endpoint=${made.good.id}`,
    'job-new-discard': `/jobs/new?kind=discard&endpoint=${made.bad.id}`,
    'job-new-choose': '/jobs/new?kind=discard',
    job: `/jobs/${job.job.id}`,
    jobs: '/jobs',
    keys: '/keys',
    'key-new': '/keys/new',
    'key-revoke': `/keys/${world.key.id}/revoke`,
    audit: '/audit',
    users: '/users',
    'user-new': '/users/new',
    account: '/account',
  };
  return { world, pages, state };
}

// Makes an endpoint in the browser, and stops at the page with its secret.
export async function secretPage(page) {
  await page.goto('/endpoints/new');
  await page.getByLabel('URL', { exact: true }).fill('http://127.0.0.1:9090/');
  await page.getByRole('button', { name: 'Create endpoint' }).click();
  await page.getByRole('heading', { name: 'Your endpoint is ready' }).waitFor();
}
