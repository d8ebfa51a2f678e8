// A receiver of ConsentProof's webhooks. Needs Node 18 or later, and nothing else:
//
//   WEBHOOK_SECRET='...' node node.mjs
//
// It answers 204 to what verifies and 401 to what does not, and prints a line for each, without personal data.

import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';

// Fill in here, or set the variables: the webhook's secret and the port to listen on.
const SECRET = process.env.WEBHOOK_SECRET || 'PASTE-THE-SECRET-HERE';
const PORT = Number(process.env.PORT || '9090');

// Your work begins here. Store the event and return; do what takes longer elsewhere, since the sender waits only for
// seconds. If this throws, 500 is answered and the webhook comes again.
function handle(id, event) {
  console.log(`${event.type} ${id} verified`);
}

const LARGEST_BODY = 1024 * 1024; // Bytes.
const REMEMBERED = 10_000; // Ids kept to tell duplicates. In earnest keep them with your data.

const seen = new Set();

class Refused extends Error {}

if (SECRET.startsWith('PASTE-')) {
  console.error('Set WEBHOOK_SECRET to the secret of your webhook.');
  process.exit(1);
}

// Answers the id and the event, or throws. The time in X-Timestamp is not signed, so nothing can be built on it: what
// keeps a replay out is the id.
function verify(headers, body) {
  const claimed = Buffer.from(headers['x-signature'] ?? '');
  // Signed are the bytes as they came: parse them only afterwards. The key is the whole secret, its prefix included.
  const expected = Buffer.from(createHmac('sha256', SECRET).update(body).digest('hex'));
  // timingSafeEqual throws where the lengths differ.
  if (claimed.length !== expected.length || !timingSafeEqual(claimed, expected)) {
    throw new Refused('x-signature is not of this body under this secret');
  }
  const event = JSON.parse(body.toString('utf8'));
  return { id: event.id, event };
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
