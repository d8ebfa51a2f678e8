# A receiver of ConsentProof's webhooks. Needs Python 3.8 or later, and nothing else:
#
#   WEBHOOK_SECRET='...' python3 python.py
#
# It answers 204 to what verifies and 401 to what does not, and prints a line for each, without personal data.

import hashlib
import hmac
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Fill in here, or set the variables: the webhook's secret and the port to listen on.
SECRET = os.environ.get('WEBHOOK_SECRET') or 'PASTE-THE-SECRET-HERE'
PORT = int(os.environ.get('PORT') or '9090')


def handle(id, event):
    """Your work begins here. Store the event and return; do what takes longer elsewhere, since the sender waits only
    for seconds. If this raises, 500 is answered and the webhook comes again."""
    print(event['type'], id, 'verified', flush=True)


LARGEST_BODY = 1024 * 1024  # Bytes.
REMEMBERED = 10_000  # Ids kept to tell duplicates. In earnest keep them with your data.

seen = {}
one_at_a_time = threading.Lock()


class Refused(Exception):
    pass


if SECRET.startswith('PASTE-'):
    sys.exit('Set WEBHOOK_SECRET to the secret of your webhook.')


def verify(headers, body):
    """Answers the id and the event, or raises. The time in X-Timestamp is not signed, so nothing can be built on it: what
    keeps a replay out is the id."""
    claimed = headers.get('X-Signature', '')
    # Signed are the bytes as they came: parse them only afterwards. The key is the whole secret, its prefix included.
    expected = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(claimed.encode(), expected.encode()):
        raise Refused('x-signature is not of this body under this secret')
    event = json.loads(body)
    return event['id'], event


def receive(headers, body):
    id, event = verify(headers, body)
    with one_at_a_time:
        if id in seen:
            print(event['type'], id, 'duplicate', flush=True)
            return
        handle(id, event)
        seen[id] = True
        if len(seen) > REMEMBERED:
            del seen[next(iter(seen))]


class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    timeout = 30

    def do_POST(self):
        length = self.headers.get('Content-Length', '')
        if not length.isdigit():
            return self.answer(411)
        if int(length) > LARGEST_BODY:
            return self.answer(413)
        try:
            receive(self.headers, self.rfile.read(int(length)))
            self.answer(204)
        except Refused as why:
            print(f'refused: {why}', file=sys.stderr, flush=True)
            self.answer(401)
        except Exception as why:
            print(f'failed: {type(why).__name__}', file=sys.stderr, flush=True)
            self.answer(500)

    def answer(self, status):
        self.send_response(status)
        if status != 204:
            self.send_header('Content-Length', '0')
        if status in (411, 413):
            self.send_header('Connection', 'close')
        self.end_headers()

    def log_message(self, *_):
        pass


if __name__ == '__main__':
    server = ThreadingHTTPServer(('127.0.0.1', PORT), Handler)
    print(f'listening on http://127.0.0.1:{server.server_port}', flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
