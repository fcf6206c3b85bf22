#!/usr/bin/python3
"""Asks a DHT node what no client would ask, and says what it does. Each exits with status 1 when the node does other than it should.

  dhtprobe.py tokens NODE IP IP…          BEP 5: tokens, ports, peers, sizes; from several addresses
  dhtprobe.py items NODE IP               BEP 44: what must not be stored
  dhtprobe.py strange NODE IP             packets that deserve no answer, or an error
  dhtprobe.py flood NODE IP IP            more than anybody may ask, beside somebody who asks little
  dhtprobe.py rotation NODE IP SECONDS    how long a token lives; asks for so long
  dhtprobe.py nodes LOG NODE,NODE… [WHAT…]
                                          is these nodes, until it is killed; LOG gets a line for each query. WHAT they say: a
                                          host:port that is a peer; "filters", those of BEP 33's example, to scrapes; "strange",
                                          peers and nodes that nobody may ask
  dhtprobe.py canonical IP IP…            the others, the one first that the first has to dial first (BEP 40)
"""
import hashlib, ipaddress, os, sys, time
import krpc

MAX_ANSWER = 1024  # bytes, of any
KEY = bytes.fromhex('77ff84905a91936367c01360803104f92432fcd904a43511876df5cdf3e7e548')
SIGNED = bytes.fromhex('305ac8aeb6c9c151fa120f120ea2cfb923564e11552d06a5d856091e5e853cff'
                       '1260d3f39e4999684aa92eb73ffd136e6f4f3ecbfda0ce53a1608ecd7ae21f01')  # "Hello World!", seq 1


def same(what, got, want):
    if got != want:
        sys.exit('%s: got %r, not %r' % (what, got, want))


def refused(what, answer, code, asker):
    """An error of this code, that is no larger than the query."""
    if not isinstance(answer, tuple) or answer[0] != code:
        sys.exit('%s: got %r, not error %d' % (what, answer, code))
    if asker.answered > asker.asked:
        sys.exit('%s: an error of %d bytes to a query of %d' % (what, asker.answered, asker.asked))


def tokens(node, *hosts):
    target = os.urandom(20)
    askers = [krpc.Asker(h, node) for h in hosts]
    a, b = askers[:2]
    r = a.ask('get_peers', info_hash=target)
    same('peers that nobody announced', r.get(b'values'), None)
    token = r[b'token']
    same('our address (BEP 42)', a.last.get(b'ip'), krpc.compact(*a.sock.getsockname()))
    refused('no token', a.ask('announce_peer', info_hash=target, port=1234), 203, a)
    refused('a wrong token', a.ask('announce_peer', info_hash=target, port=1234, token=b'wrong'), 203, a)
    refused("another address's token", b.ask('announce_peer', info_hash=target, port=1234, token=token), 203, b)
    refused("another torrent's token", a.ask('announce_peer', info_hash=os.urandom(20), port=1234, token=token), 203, a)
    for port in (0, -1, 65536, 1 << 40):
        refused('port %d' % port, a.ask('announce_peer', info_hash=target, port=port, token=token), 203, a)
    same('refused peers', a.ask('get_peers', info_hash=target).get(b'values'), None)
    # Four ports of each address are stored.
    announced = set()
    for i, asker in enumerate(askers):
        token = asker.ask('get_peers', info_hash=target)[b'token']
        for port in range(2000 + i, 2004 + i):
            same('announce', sorted(asker.ask('announce_peer', info_hash=target, port=port, token=token)), [b'id'])
            announced.add(krpc.compact(asker.sock.getsockname()[0], port))
    asker = krpc.Asker(hosts[0], node)
    token = asker.ask('get_peers', info_hash=target)[b'token']
    most = 25 if ':' in hosts[0] else 50
    r = asker.ask('get_peers', info_hash=target)
    values = r[b'values']
    if not set(values) <= announced or len(values) != min(most, len(announced)):
        sys.exit('%d peers of %d' % (len(values), len(announced)))
    if asker.answered > MAX_ANSWER:
        sys.exit('an answer of %d bytes' % asker.answered)
    print('%d peers announced; a query of %d bytes got %d of them in %d bytes'
          % (len(announced), asker.asked, len(values), asker.answered))
    # The port of the packet instead of the one named, and no fifth port.
    other = os.urandom(20)
    token = asker.ask('get_peers', info_hash=other)[b'token']
    asker.ask('announce_peer', info_hash=other, port=0, implied_port=1, token=token)
    same('implied port', asker.ask('get_peers', info_hash=other)[b'values'], [krpc.compact(*asker.sock.getsockname()[:2])])
    r = asker.ask('get_peers', info_hash=target, scrape=1)
    same('length of the filters', (len(r[b'BFsd']), len(r[b'BFpe'])), (256, 256))
    same('peers beside filters', r.get(b'values'), None)
    print('filters in %d bytes' % asker.answered)
    r = asker.ask('sample_infohashes', target=os.urandom(20))
    samples = [r[b'samples'][i:i + 20] for i in range(0, len(r[b'samples']), 20)]
    if r[b'num'] < 2 or not {target, other} <= set(samples) or not 0 <= r[b'interval'] <= 21600:
        sys.exit('samples: %r' % r)
    print('%d of %d info-hashes sampled in %d bytes' % (len(samples), r[b'num'], asker.answered))


def items(node, host):
    a = krpc.Asker(host, node)
    target = hashlib.sha1(KEY).digest()

    def put(**args):
        token = a.ask('get', target=target)[b'token']
        return a.ask('put', token=token, **args)

    good = dict(k=KEY, sig=SIGNED, seq=1, v='Hello World!')
    same('nobody put it', a.ask('get', target=target).get(b'v'), None)
    refused('a bad signature', put(**dict(good, sig=SIGNED[:-1] + b'\0')), 206, a)
    refused('a signature of another number', put(**dict(good, seq=2)), 206, a)
    refused('a signature without the salt', put(**dict(good, salt='foobar')), 203, a)  # another target: the token is wrong
    same('put', sorted(put(**good)), [b'id'])
    refused('other than expected', put(**dict(good, cas=2)), 301, a)
    refused('a wrong token', a.ask('put', token=b'x', v='y'), 203, a)
    r = a.ask('get', target=target)
    same('got', (r[b'v'], r[b'seq'], r[b'k'], r[b'sig']), (b'Hello World!', 1, KEY, SIGNED))
    same('nothing newer', a.ask('get', target=target, seq=1).get(b'v'), None)
    for size, code in ((1000 - 4, 0), (1001 - 4, 205)):  # with "996:" before it
        v = b'x' * size
        token = a.ask('get', target=hashlib.sha1(b'%d:' % size + v).digest())[b'token']
        answer = a.ask('put', token=token, v=v)
        if code:
            refused('%d bytes' % (size + 4), answer, code, a)
        else:
            same('1000 bytes', sorted(answer), [b'id'])
            r = a.ask('get', target=hashlib.sha1(b'%d:' % size + v).digest())
            same('1000 bytes back', r[b'v'], v)
            print('an item of 1000 bytes came in %d' % a.answered)


def strange(node, host):
    a = krpc.Asker(host, node)
    for b in (b'', b'd', b'de', b'd1:ad2:id20:' + bytes(20) + b'e', b'x' * 100, b'd' * 500, b'l' * 500 + b'e' * 500, bytes(1200),
              b'd1:t2:aa1:y1:re', b'd1:rd2:id20:' + bytes(20) + b'e1:t2:aa1:y1:re', b'd1:eli201e4:oopse1:t2:aa1:y1:ee',
              b'd1:ad2:id20:' + bytes(20) + b'e1:q4:ping1:t9999999999:aa1:y1:qe'):
        a.raw(b)
    same('answers to garbage and to answers', a.count(0.5), 0)
    refused('an unknown method', a.ask('frobnicate'), 204, a)
    refused('no target', a.ask('find_node'), 203, a)
    refused('a short target', a.ask('get_peers', info_hash=b'abc'), 203, a)
    same('ping', sorted(a.ask('ping')), [b'id'])


def flood(node, loud, quiet):
    a, b = krpc.Asker(loud, node), krpc.Asker(quiet, node)
    for _ in range(300):
        a.send('ping')
    n = a.count(0.5)
    same('ping of somebody else', sorted(b.ask('ping')), [b'id'])
    same('ping of the loud one', a.ask('ping', timeout=0.4), None)
    same('ping by another port of it', krpc.Asker(loud, node).ask('ping', timeout=0.2), None)
    print('%d of 300 pings answered' % n)
    if not 0 < n <= 50:
        sys.exit('%d of 300 pings answered' % n)


def rotation(node, host, seconds):
    a, target, began = krpc.Asker(host, node), os.urandom(20), time.monotonic()
    token = a.ask('get_peers', info_hash=target)[b'token']
    while True:
        at = time.monotonic() - began
        good = isinstance(a.ask('announce_peer', info_hash=target, port=1234, token=token), dict)
        if not good or at > min(float(seconds), 605):
            break
        time.sleep(min(5, float(seconds)))
    print('the token was %s after %.0f s' % ('good' if good else 'refused', at))
    if good and at > 600 or not good and at < 300:
        sys.exit(1)
    if not good:
        same('another token', a.ask('get_peers', info_hash=target)[b'token'] != token, True)


def bloom(addresses):
    """A filter as in BEP 33."""
    f = bytearray(256)
    for ip in addresses:
        h = hashlib.sha1(ipaddress.ip_address(ip).packed).digest()
        for i in (h[0] | h[1] << 8, h[2] | h[3] << 8):
            f[i % 2048 // 8] |= 1 << i % 8
    return bytes(f)


def crc32c(b):
    c = 0xffffffff
    for x in b:
        c ^= x
        for _ in range(8):
            c = c >> 1 ^ (0x82f63b78 if c & 1 else 0)
    return c ^ 0xffffffff


def priority(*hosts):
    """That of a connection between two hosts that do not share a /16 (IPv4)."""
    return crc32c(b''.join(sorted(bytes(x & y for x, y in zip(ipaddress.ip_address(h).packed, b'\xff\xff\x55\x55')) for h in hosts)))


def canonical(me, *others):
    same("BEP 40's example", priority('123.213.32.10', '98.76.54.32'), 0xec2d7224)
    print('\n'.join(sorted(others, key=lambda h: -priority(me, h))))


# The last two are there, if the check wants it, and must never be asked: nobody of another network may name them.
MARTIANS = [('0.0.0.0', 6881), ('127.0.0.1', 6881), ('224.0.0.1', 6881), ('239.192.152.143', 6771), ('255.255.255.255', 6881),
            ('240.0.0.1', 6881), ('169.254.1.1', 6881), ('192.168.1.1', 6881), ('198.18.2.1', 0), ('127.0.0.1', 7999),
            ('10.99.0.1', 7999)]


def nodes(log, addrs, *say):
    values, filters, odd = [], None, b''
    for what in say:
        if what == 'filters':
            v4, v6 = ['192.0.2.%d' % i for i in range(256)], ['2001:db8::%x' % i for i in range(0x3e8)]
            filters = (bloom(v4 + v6), bloom(v4))
            same("BEP 33's example", hashlib.sha1(filters[0]).hexdigest(), 'e4dabf3c822dcd0030ee21df8369bfef2594b52b')
        elif what == 'strange':
            odd = b''.join(os.urandom(20) + krpc.compact(*m) for m in MARTIANS)
            values += [krpc.compact(*m) for m in MARTIANS]
        else:
            values.append(krpc.compact(*krpc.addr_of(what)))
    with open(log, 'w') as f:
        krpc.Nodes([krpc.addr_of(a) for a in addrs.split(',')], f, values, filters, odd).serve()


if __name__ == '__main__':
    op, args = sys.argv[1], sys.argv[2:]
    if op in ('nodes', 'canonical'):
        {'nodes': nodes, 'canonical': canonical}[op](*args)
    else:
        {'tokens': tokens, 'items': items, 'strange': strange, 'flood': flood, 'rotation': rotation}[op](krpc.addr_of(args[0]), *args[1:])
