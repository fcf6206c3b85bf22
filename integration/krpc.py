"""KRPC (BEP 5) by hand, for what no client can be made to send: one query at a time from any address, and nodes that say
what they are told to and write down what they are asked."""
import json, os, select, socket, struct, time
import bencode

ME = b'magnetfs integration'


def compact(host, port):
    return socket.inet_pton(family(host), host) + struct.pack('>H', port)


def family(host):
    return socket.AF_INET6 if ':' in host else socket.AF_INET


def addr_of(text):
    """'1.2.3.4:5' or '[::1]:5' as (host, port)."""
    host, port = text.rsplit(':', 1)
    return host.strip('[]'), int(port)


class Asker:
    """Asks one node, from one address."""

    def __init__(self, host, node, port=0):
        self.node, self.tid = node, 0
        self.sock = socket.socket(family(host), socket.SOCK_DGRAM)
        self.sock.bind((host, port))
        self.asked = self.answered = 0  # bytes of the last query and its answer

    def send(self, method, **args):
        self.tid += 1
        b = bencode.encode({'t': struct.pack('>H', self.tid), 'y': 'q', 'q': method, 'ro': 1, 'a': {'id': ME, **args}})
        self.asked, self.answered = len(b), 0
        self.sock.sendto(b, self.node)

    def raw(self, b):
        self.sock.sendto(b, self.node)

    def ask(self, method, timeout=3.0, **args):
        """The answer's dictionary r, or (code, text) of an error; None for no answer."""
        self.send(method, **args)
        end = time.monotonic() + timeout
        while select.select([self.sock], [], [], max(0, end - time.monotonic()))[0]:
            b = self.sock.recv(65536)
            m = bencode.decode(b)
            if m[b't'] != struct.pack('>H', self.tid):
                continue
            self.answered = len(b)
            self.last = m
            return tuple(m[b'e']) if m[b'y'] == b'e' else m[b'r']
        return None

    def count(self, seconds):
        """How many packets come in this time, and up to half a second after the last."""
        n, end = 0, time.monotonic() + seconds
        while select.select([self.sock], [], [], max(0, end - time.monotonic()))[0]:
            self.sock.recv(65536)
            n += 1
        return n


class Nodes:
    """Nodes of a DHT that is only these: each knows all of them and names the eight that are closest, answers every query,
    and asks nobody anything.

    values: peers, compact, that get_peers names; filters: (seeds, peers) for scrape=1 (BEP 33); strange: further compact
    nodes that find_node and get_peers name. log gets a line of JSON for each query: node, from, method, ro.
    """

    def __init__(self, addrs, log, values=(), filters=None, strange=b''):
        self.values, self.filters, self.strange, self.log = list(values), filters, strange, log
        self.socks = {}
        for i, (host, port) in enumerate(addrs):
            s = socket.socket(family(host), socket.SOCK_DGRAM)
            s.bind((host, port))
            # far apart, so that the buckets of whoever knows them have room for them
            self.socks[s] = (bytes([i * 256 // len(addrs)]) + os.urandom(19), (host, port))

    def named(self, asker, target):
        def distance(node):
            return bytes(x ^ y for x, y in zip(node[0], target))
        own = b''.join(i + compact(*a) for i, a in sorted(self.socks.values(), key=distance)[:8])
        return {'nodes6' if family(asker) == socket.AF_INET6 else 'nodes': own + self.strange}

    def answer(self, sock, b, addr):
        q = bencode.decode(b)
        if q.get(b'y') != b'q':
            return
        me, here = self.socks[sock]
        method, args, r = q[b'q'].decode(), q[b'a'], {'id': me}
        json.dump({'node': '%s:%d' % here, 'from': '%s:%d' % addr[:2], 'q': method, 'ro': q.get(b'ro', 0)}, self.log)
        self.log.write('\n')
        self.log.flush()
        if method in ('find_node', 'get_peers'):
            r.update(self.named(addr[0], args.get(b'info_hash') or args[b'target']))
        if method == 'get_peers':
            r['token'] = b'token'
            if self.filters and args.get(b'scrape'):
                r['BFsd'], r['BFpe'] = self.filters
            elif self.values:
                r['values'] = self.values
        sock.sendto(bencode.encode({'t': q[b't'], 'y': 'r', 'ip': compact(*addr[:2]), 'r': r}), addr)

    def serve(self):
        while True:
            for s in select.select(list(self.socks), [], [])[0]:
                b, addr = s.recvfrom(65536)
                try:
                    self.answer(s, b, addr)
                except (KeyError, ValueError, IndexError):
                    pass
