#!/usr/bin/python3
"""tracker.py HOST PORT PEER [CERT KEY]: a tracker that records what it is told.

Speaks HTTP (with CERT and KEY, files, HTTPS instead) and UDP on one port, names PEER (host:port) to everybody, and prints a
line for each request: "ready" first, then

  http PATH event=… left=… numwant=… trackerid=…      - for what is missing
  udp announce event=N left=… data=…                  data: the URL data of BEP 41
  udp scrape

Announces under /plain/ are answered without counts; scrapes say 3 seeds, 4 peers. Runs until it is killed.
"""
import http.server, socket, ssl, struct, sys, threading, urllib.parse
import bencode

ID = 'one two&three'  # to be returned as it is
lock = threading.Lock()


def say(*words):
    with lock:
        print(*words, flush=True)


def compact(peer):
    host, port = peer.rsplit(':', 1)
    return socket.inet_aton(host) + struct.pack('>H', int(port))


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        q = {k: v[0] for k, v in urllib.parse.parse_qs(url.query, encoding='latin-1').items()}
        say('http', url.path, *('%s=%s' % (k, q.get(k, '-')) for k in ('event', 'left', 'numwant', 'trackerid')))
        if url.path.endswith('/scrape'):
            body = {'files': {q['info_hash'].encode('latin-1'): {'complete': 3, 'incomplete': 4, 'downloaded': 5}}}
        else:
            body = {'interval': 1800, 'peers': self.server.peer, 'tracker id': ID}
            if '/plain/' not in url.path:
                body.update(complete=1, incomplete=1)
        body = bencode.encode(body)
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def options(b):
    """The URL data in the options of an announce (BEP 41)."""
    out = b''
    while b and b[0] != 0:
        if b[0] == 1:
            b = b[1:]
            continue
        if b[0] == 2:
            out += b[2:2 + b[1]]
        b = b[2 + b[1]:]
    return out.decode()


def udp(sock, peer):
    connection = 0x1122334455667788
    while True:
        b, addr = sock.recvfrom(2048)
        if len(b) < 16:
            continue
        conn, action, tid = struct.unpack('>QII', b[:16])
        if action == 0 and conn == 0x41727101980:
            sock.sendto(struct.pack('>IIQ', 0, tid, connection), addr)
        elif conn != connection:
            sock.sendto(struct.pack('>II', 3, tid) + b'who are you?', addr)
        elif action == 1 and len(b) >= 98:
            left, event = struct.unpack('>Q', b[64:72])[0], struct.unpack('>I', b[80:84])[0]
            say('udp announce event=%d left=%d data=%s' % (event, left, options(b[98:])))
            sock.sendto(struct.pack('>IIIII', 1, tid, 1800, 1, 1) + peer, addr)
        elif action == 2:
            say('udp scrape')
            sock.sendto(struct.pack('>II', 2, tid) + struct.pack('>III', 3, 5, 4) * ((len(b) - 16) // 20), addr)


def main():
    host, port, peer = sys.argv[1], int(sys.argv[2]), compact(sys.argv[3])
    server = http.server.ThreadingHTTPServer((host, port), Handler)
    server.peer = peer
    if len(sys.argv) > 4:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[4], sys.argv[5])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((host, port))
    threading.Thread(target=udp, args=(sock, peer), daemon=True).start()
    say('ready')
    server.serve_forever()


if __name__ == '__main__':
    main()
