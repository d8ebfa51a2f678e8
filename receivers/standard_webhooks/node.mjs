// A receiver of Standard Webhooks. Needs Node 18 or later, and nothing else:
//
//   WEBHOOK_SECRET='whsec_...' node node.mjs
//
// It answers 204 to what verifies and 401 to what does not, and prints a line for each, without personal data.

import { createHmac, createPublicKey, timingSafeEqual, verify as verifySignature } from 'node:crypto';
import { createServer } from 'node:http';

// Fill in here, or set the variables: the endpoint's secret (whsec_...) or public key (whpk_...), and the port.
const SECRET = process.env.WEBHOOK_SECRET || 'PASTE-THE-SECRET-HERE';
const PORT = Number(process.env.PORT || '9090');

// Your work begins here. Store the event and return; do what takes longer elsewhere, since the sender waits only for
// seconds. If this throws, 500 is answered and the webhook comes again.
function handle(id, event) {
  console.log(`${event.type} ${id} verified`);
}

const TOLERANCE = 5 * 60; // Seconds that a webhook's time may lie from ours, either way: bounds replays.
const LARGEST_BODY = 1024 * 1024; // Bytes.
const REMEMBERED = 10_000; // Ids kept to tell duplicates. In earnest keep them with your data.

const seen = new Set();

class Refused extends Error {}

// Either alphabet of base64; decoding ignores what is missing in padding.
const fromBase64 = (text) => Buffer.from(text, 'base64');

function readSecret(secret) {
  if (secret.startsWith('whsec_')) {
    const key = fromBase64(secret.slice('whsec_'.length));
    const expected = (content) => createHmac('sha256', key).update(content).digest();
    return {
      version: 'v1',
      accepts: (content, signature) => {
        const ours = expected(content);
        return signature.length === ours.length && timingSafeEqual(signature, ours);
      },
    };
  }
  if (secret.startsWith('whpk_')) {
    const x = fromBase64(secret.slice('whpk_'.length)).toString('base64url');
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
    return { version: 'v1a', accepts: (content, signature) => verifySignature(null, content, key, signature) };
  }
  console.error('Set WEBHOOK_SECRET to the secret of your endpoint (whsec_...) or to its public key (whpk_...).');
  process.exit(1);
}

const verifier = readSecret(SECRET);

// Answers the id and the event, or throws.
function verify(headers, body) {
  const id = headers['webhook-id'];
  const timestamp = headers['webhook-timestamp'];
  const signatures = headers['webhook-signature'];
  if (!id || !timestamp || !signatures) {
    throw new Refused('webhook-id, webhook-timestamp or webhook-signature is missing');
  }
  if (id.includes('.') || !/^\d{1,12}$/.test(timestamp)) {
    throw new Refused('webhook-id or webhook-timestamp is malformed');
  }
  // Signed are the bytes as they came: parse them only afterwards.
  const content = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), body]);
  // One signature for each live secret of the endpoint, and one that fits is enough.
  const fits = signatures.split(' ').some((entry) => {
    const [version, signature] = entry.split(',', 2);
    return version === verifier.version && signature && verifier.accepts(content, fromBase64(signature));
  });
  if (!fits) throw new Refused('no signature is of this body under this secret');
  if (Math.abs(Date.now() / 1000 - Number(timestamp)) > TOLERANCE) {
    throw new Refused('signed too long ago, or in the future: compare the clocks');
  }
  return { id, event: JSON.parse(body.toString('utf8')) };
}

function receive(headers, body) {
  const { id, event } = verify(headers, body);
  if (seen.has(id)) {
    console.log(`${event.type} ${id} duplicate`);
    return;
  }
  handle(id, event);
  seen.add(id);
  if (seen.size > REMEMBERED) seen.delete(seen.values().next().value);
}

const server = createServer((request, response) => {
  const answer = (status) => response.writeHead(status).end();
  if (request.method !== 'POST') return answer(405);
  const parts = [];
  let length = 0;
  request.on('data', (part) => {
    length += part.length;
    if (length <= LARGEST_BODY) parts.push(part);
    else if (!response.headersSent) response.writeHead(413, { connection: 'close' }).end(() => request.destroy());
  });
  request.on('end', () => {
    if (response.headersSent) return;
    try {
      receive(request.headers, Buffer.concat(parts));
      answer(204);
    } catch (error) {
      if (error instanceof Refused) console.error(`refused: ${error.message}`);
      else console.error(`failed: ${error.name}`);
      answer(error instanceof Refused ? 401 : 500);
    }
  });
  request.on('error', () => {});
});

server.listen(PORT, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
