# A receiver of ConsentProof's webhooks. Needs Ruby 3.0 or later, and nothing else:
#
#   WEBHOOK_SECRET='...' ruby ruby.rb
#
# It answers 204 to what verifies and 401 to what does not, and prints a line for each, without personal data.

require 'json'
require 'openssl'
require 'socket'
require 'timeout'

# Fill in here, or set the variables: the webhook's secret and the port to listen on.
SECRET = ENV['WEBHOOK_SECRET'] || 'PASTE-THE-SECRET-HERE'
PORT = Integer(ENV['PORT'] || '9090')

# Your work begins here. Store the event and return; do what takes longer elsewhere, since the sender waits only for
# seconds. If this raises, 500 is answered and the webhook comes again.
def handle(id, event)
  puts "#{event['type']} #{id} verified"
end

LARGEST_BODY = 1024 * 1024 # Bytes.
REMEMBERED = 10_000 # Ids kept to tell duplicates. In earnest keep them with your data.
ONE_AT_A_TIME = Mutex.new
SEEN = {}

class Refused < StandardError; end

abort 'Set WEBHOOK_SECRET to the secret of your webhook.' if SECRET.empty? || SECRET.start_with?('PASTE-')

# Answers the id and the event, or raises. The time in X-Timestamp is not signed, so nothing can be built on it: what
# keeps a replay out is the id.
def verify(headers, body)
  claimed = headers['x-signature'].to_s
  # Signed are the bytes as they came: parse them only afterwards. The key is the whole secret, its prefix included.
  expected = OpenSSL::HMAC.hexdigest('SHA256', SECRET, body)
  unless claimed.bytesize == expected.bytesize && OpenSSL.fixed_length_secure_compare(claimed, expected)
    raise Refused, 'x-signature is not of this body under this secret'
  end
  event = JSON.parse(body.force_encoding('UTF-8'))
  [event['id'], event]
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
