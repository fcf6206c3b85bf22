#!/usr/bin/python3
"""sniff.py INTERFACE [HASH]: prints who is told of a torrent in the packets that leave through an interface.

One line for each packet with the info-hash, in bytes or in hex digits: "UDP FROM TO" or "TCP handshake FROM TO"; and
"ut_pex FROM TO" for each offer of peer exchange. Without a hash, one line for each packet that leaves: "TCP FROM TO", with
"reset" behind it, "UDP FROM TO", "ICMP unreachable FROM TO", or what it is else. Runs until it is killed; prints "ready" first.
"""
import os, socket, struct, sys


def main():
    raw = bytes.fromhex(sys.argv[2]) if len(sys.argv) > 2 else b''
    hexed = raw.hex().encode()
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3)) as sock:  # ETH_P_ALL: only that sees what leaves
        sock.bind((sys.argv[1], 3))
        print('ready', flush=True)
        while True:
            b, (_, proto, kind, _, _) = sock.recvfrom(65536)
            if kind != socket.PACKET_OUTGOING:
                continue
            if b[0] >> 4 != 4 or b[9] not in (6, 17):
                if not raw and b[0] >> 4 == 4 and b[9] == 1 and b[(b[0] & 15) * 4] == 3:
                    print('ICMP unreachable', socket.inet_ntoa(b[12:16]), socket.inet_ntoa(b[16:20]), flush=True)
                elif not raw:
                    print('other %04x %s' % (proto, b[:20].hex()), flush=True)
                continue
            ip = (b[0] & 15) * 4
            src, dst = socket.inet_ntoa(b[12:16]), socket.inet_ntoa(b[16:20])
            sport, dport = struct.unpack('>HH', b[ip:ip + 4])
            way = '%s:%d %s:%d' % (src, sport, dst, dport)
            if not raw:
                print('UDP' if b[9] == 17 else 'TCP', way, 'reset' if b[9] == 6 and b[ip + 13] & 4 else '', flush=True)
                continue
            if raw in b or hexed in b.lower():
                print('UDP' if b[9] == 17 else 'TCP handshake', way, flush=True)
            if b'6:ut_pex' in b:
                print('ut_pex', way, flush=True)


if __name__ == '__main__':
    sys.exit(main())
