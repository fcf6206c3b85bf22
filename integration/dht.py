#!/usr/bin/python3
"""Asks the nodes of a DHT (BEP 5) directly, so that the test does not have to ask libtorrent about libtorrent.

  dht.py HASH NODE[,NODE…] WANT…   waits until these hosts are among the peers that the nodes name; prints the peers.
                                   Exit status 1 if that takes more than $PATIENCE seconds (60).

It sends get_peers to every node given and to nobody else, read-only (BEP 43) and with one ID for all: clients that were
asked under ever new IDs would fill their routing tables with nodes that nobody answers for.
"""
import os, select, socket, struct, sys, time
import bencode, krpc

ME = b'magnetfs integration'


def ask(sock, target, nodes, timeout=0.5):
    """The peers that the nodes know of, and how many nodes answered."""
    for addr in nodes:
        sock.sendto(bencode.encode({'t': b'q', 'y': 'q', 'q': 'get_peers', 'ro': 1, 'a': {'id': ME, 'info_hash': target}}), addr)
    peers, answered, end = set(), set(), time.monotonic() + timeout
    while len(answered) < len(nodes) and select.select([sock], [], [], max(0, end - time.monotonic()))[0]:
        try:
            b, addr = sock.recvfrom(4096)
            values = bencode.decode(b)[b'r'].get(b'values', [])
        except (OSError, KeyError, ValueError):
            continue
        answered.add(addr[:2])
        peers |= {(socket.inet_ntop(krpc.family(addr[0]), v[:-2]), struct.unpack('>H', v[-2:])[0]) for v in values if len(v) in (6, 18)}
    return peers, len(answered)


def main():
    target, want = bytes.fromhex(sys.argv[1]), set(sys.argv[3:])
    nodes = [krpc.addr_of(x) for x in sys.argv[2].split(',')]
    end = time.monotonic() + float(os.environ.get('PATIENCE', 60))
    with socket.socket(krpc.family(nodes[0][0]), socket.SOCK_DGRAM) as sock:
        while True:
            peers, answered = ask(sock, target, nodes)
            missing = want - {h for h, _ in peers}
            if not missing:
                print('\n'.join(sorted('%s:%d' % p for p in peers)))
                return 0
            if time.monotonic() > end:
                print('%d of %d nodes answered; not named:' % (answered, len(nodes)), *sorted(missing), file=sys.stderr)
                return 1
            time.sleep(0.3)


if __name__ == '__main__':
    sys.exit(main())
