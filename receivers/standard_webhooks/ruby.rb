# A receiver of Standard Webhooks. Needs Ruby 3.0 or later, and nothing else:
#
#   WEBHOOK_SECRET='whsec_...' ruby ruby.rb
#
# It answers 204 to what verifies and 401 to what does not, and prints a line for each, without personal data.

require 'json'
require 'openssl'
require 'socket'
require 'timeout'

# Fill in here, or set the variables: the endpoint's secret (whsec_...) or public key (whpk_...), and the port.
SECRET = ENV['WEBHOOK_SECRET'] || 'PASTE-THE-SECRET-HERE'
PORT = Integer(ENV['PORT'] || '9090')

# Your work begins here. Store the event and return; do what takes longer elsewhere, since the sender waits only for
# seconds. If this raises, 500 is answered and the webhook comes again.
def handle(id, event)
  puts "#{event['type']} #{id} verified"
end

TOLERANCE = 5 * 60 # Seconds that a webhook's time may lie from ours, either way: bounds replays.
LARGEST_BODY = 1024 * 1024 # Bytes.
REMEMBERED = 10_000 # Ids kept to tell duplicates. In earnest keep them with your data.
ONE_AT_A_TIME = Mutex.new
SEEN = {}

class Refused < StandardError; end

# Either alphabet of base64, with or without padding.
def from_base64(text)
  text = text.sub(/=+\z/, '').tr('-_', '+/')
  (text + '=' * (-text.length % 4)).unpack1('m0')
end

# The version of the signatures, and what accepts them.
def read_secret(secret)
  if secret.start_with?('whsec_')
    key = from_base64(secret.delete_prefix('whsec_'))
    accepts = lambda do |content, signature|
      ours = OpenSSL::HMAC.digest('SHA256', key, content)
      signature.bytesize == ours.bytesize && OpenSSL.fixed_length_secure_compare(signature, ours)
    end
    ['v1', accepts]
  elsif secret.start_with?('whpk_')
    # A public key's 32 bytes behind the head of its DER form (RFC 8410).
    der = ['302a300506032b6570032100'].pack('H*') + from_base64(secret.delete_prefix('whpk_'))
    key = OpenSSL::PKey.read(der)
    ['v1a', ->(content, signature) { signature.bytesize == 64 && key.verify(nil, signature, content) }]
  else
    abort 'Set WEBHOOK_SECRET to the secret of your endpoint (whsec_...) or to its public key (whpk_...).'
  end
end

VERSION, ACCEPTS = read_secret(SECRET)

def fits?(entry, content)
  version, signature = entry.split(',', 2)
  version == VERSION && ACCEPTS.call(content, from_base64(signature.to_s))
rescue ArgumentError # No base64.
  false
end

# Answers the id and the event, or raises.
def verify(headers, body)
  id, timestamp, signatures = headers.values_at('webhook-id', 'webhook-timestamp', 'webhook-signature')
  if [id, timestamp, signatures].any? { |value| value.to_s.empty? }
    raise Refused, 'webhook-id, webhook-timestamp or webhook-signature is missing'
  end
  if id.include?('.') || !timestamp.match?(/\A\d{1,12}\z/)
    raise Refused, 'webhook-id or webhook-timestamp is malformed'
  end
  # Signed are the bytes as they came: parse them only afterwards.
  content = "#{id}.#{timestamp}.".b + body
  # One signature for each live secret of the endpoint, and one that fits is enough.
  unless signatures.split(' ').any? { |entry| fits?(entry, content) }
    raise Refused, 'no signature is of this body under this secret'
  end
  if (Time.now.to_i - Integer(timestamp, 10)).abs > TOLERANCE
    raise Refused, 'signed too long ago, or in the future: compare the clocks'
  end
  [id, JSON.parse(body.force_encoding('UTF-8'))]
end

def receive(headers, body)
  id, event = verify(headers, body)
  ONE_AT_A_TIME.synchronize do
    if SEEN.key?(id)
      puts "#{event['type']} #{id} duplicate"
    else
      handle(id, event)
      SEEN[id] = true
      SEEN.shift if SEEN.size > REMEMBERED
    end
  end
end

# Ruby brings no HTTP server any more; in earnest this part is Rails' or Sinatra's. Answers the status.
def serve(socket)
  method, = socket.gets("\r\n", 8192).to_s.split(' ')
  return nil unless method

  headers = {}
  while (line = socket.gets("\r\n", 8192)) && line != "\r\n"
    name, value = line.split(':', 2)
    headers[name.downcase] = value.to_s.strip
    return 431 if headers.size > 100
  end
  return 405 unless method == 'POST'
  return 411 unless headers['content-length'].to_s.match?(/\A\d{1,12}\z/)

  length = Integer(headers['content-length'], 10)
  return 413 if length > LARGEST_BODY

  body = socket.read(length).to_s
  return nil if body.bytesize < length

  receive(headers, body)
  204
rescue Refused => e
  warn "refused: #{e.message}"
  401
rescue Timeout::Error, SystemCallError, IOError
  nil
rescue StandardError => e
  warn "failed: #{e.class}"
  500
end

$stdout.sync = true
server = TCPServer.new('127.0.0.1', PORT)
puts "listening on http://127.0.0.1:#{server.addr[1]}"
trap('INT') { exit }
loop do
  Thread.new(server.accept) do |socket|
    status = Timeout.timeout(30) { serve(socket) }
    length = "Content-Length: 0\r\n" unless status == 204
    socket.write("HTTP/1.1 #{status} \r\nConnection: close\r\n#{length}\r\n") if status
  rescue Timeout::Error, SystemCallError, IOError
    nil
  ensure
    socket.close
  end
end
