# A receiver of Standard Webhooks. Needs Python 3.8 or later, and nothing else:
#
#   WEBHOOK_SECRET='whsec_...' python3 python.py
#
# It answers 204 to what verifies and 401 to what does not, and prints a line for each, without personal data.

import base64
import hashlib
import hmac
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Fill in here, or set the variables: the endpoint's secret (whsec_...) or public key (whpk_...), and the port.
SECRET = os.environ.get('WEBHOOK_SECRET') or 'PASTE-THE-SECRET-HERE'
PORT = int(os.environ.get('PORT') or '9090')


def handle(id, event):
    """Your work begins here. Store the event and return; do what takes longer elsewhere, since the sender waits only
    for seconds. If this raises, 500 is answered and the webhook comes again."""
    print(event['type'], id, 'verified', flush=True)


TOLERANCE = 5 * 60  # Seconds that a webhook's time may lie from ours, either way: bounds replays.
LARGEST_BODY = 1024 * 1024  # Bytes.
REMEMBERED = 10_000  # Ids kept to tell duplicates. In earnest keep them with your data.

seen = {}
one_at_a_time = threading.Lock()


class Refused(Exception):
    pass


def from_base64(text):
    """Either alphabet of base64, with or without padding."""
    text = text.rstrip('=').replace('-', '+').replace('_', '/')
    return base64.b64decode(text + '=' * (-len(text) % 4), validate=True)


# Ed25519 (RFC 8032), which Python's own library lacks. Only verifies: everything here is public, so that its time tells
# nothing. With the package `cryptography` installed, use that.
P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P


def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(n, p):
    q = (0, 1, 1, 0)
    while n:
        if n & 1:
            q = add(q, p)
        p, n = add(p, p), n >> 1
    return q


def point(data):
    """The point of 32 bytes; None where they are none."""
    y = int.from_bytes(data, 'little')
    sign, y = y >> 255, y & (2**255 - 1)
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if y >= P or (x * x - square) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


BASE = point((4 * pow(5, -1, P) % P).to_bytes(32, 'little'))


def ed25519_accepts(public, message, signature):
    if len(public) != 32 or len(signature) != 64:
        return False
    a, r, s = point(public), point(signature[:32]), int.from_bytes(signature[32:], 'little')
    if a is None or r is None or s >= ORDER:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), 'little') % ORDER
    one, other = times(s, BASE), add(r, times(h, a))
    return all((one[i] * other[2] - other[i] * one[2]) % P == 0 for i in (0, 1))


def read_secret(secret):
    """The version of the signatures, and what accepts them."""
    if secret.startswith('whsec_'):
        key = from_base64(secret[len('whsec_'):])
        return 'v1', lambda content, signature: hmac.compare_digest(
            hmac.new(key, content, hashlib.sha256).digest(), signature)
    if secret.startswith('whpk_'):
        key = from_base64(secret[len('whpk_'):])
        return 'v1a', lambda content, signature: ed25519_accepts(key, content, signature)
    sys.exit('Set WEBHOOK_SECRET to the secret of your endpoint (whsec_...) or to its public key (whpk_...).')


VERSION, accepts = read_secret(SECRET)


def fits(entry, content):
    version, _, signature = entry.partition(',')
    try:
        return version == VERSION and accepts(content, from_base64(signature))
    except ValueError:
        return False


def verify(headers, body):
    """Answers the id and the event, or raises."""
    id, timestamp = headers.get('webhook-id'), headers.get('webhook-timestamp')
    signatures = headers.get('webhook-signature')
    if not id or not timestamp or not signatures:
        raise Refused('webhook-id, webhook-timestamp or webhook-signature is missing')
    if '.' in id or not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise Refused('webhook-id or webhook-timestamp is malformed')
    # Signed are the bytes as they came: parse them only afterwards.
    content = f'{id}.{timestamp}.'.encode() + body
    # One signature for each live secret of the endpoint, and one that fits is enough.
    if not any(fits(entry, content) for entry in signatures.split(' ')):
        raise Refused('no signature is of this body under this secret')
    if abs(time.time() - int(timestamp)) > TOLERANCE:
        raise Refused('signed too long ago, or in the future: compare the clocks')
    return id, json.loads(body)


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
