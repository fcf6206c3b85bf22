#!/usr/bin/python3
"""Misbehaving peers, by script. They wait to be connected to (x.pe of a magnet names them).

  fakepeer.py HOST:PORT=MODE=X.torrent…        serves until it is killed; prints "ready" when all listen

Modes, each with the right handshake and, unless said otherwise, the right metadata:
  dead       has every piece, never unchokes: a torrent that lists and never reads
  silent     has every piece, unchokes, answers no request
  corrupt    answers each request with random bytes
  drop       answers four blocks and hangs up
  hold       answers honestly, but keeps the second block of piece 20 until there is a file X.torrent.release
  reject     has every piece, unchokes, rejects each request (BEP 6)
  wrongmeta  offers random bytes as metadata, and has no pieces
  hugemeta   offers 2 GiB of metadata
  garbage    sends random bytes after the handshake
  longmsg    announces a message of 4 GiB after the handshake
  mute       accepts the connection and sends nothing, not even a handshake
  noinfo     a handshake for another info-hash
  pex        has every piece, never unchokes, and tells of thousands of peers ten times a second (BEP 11): nobody's
             addresses in 198.19.0.0/16, many ports of one host, such as cannot be dialled, and the one it talks to; it
             prints "told N" with the messages of a connection that is closed
The info dictionary is served as it stands in the file, so it may be of any shape: only its hash is right.
"""
import asyncio, hashlib, os, random, socket, struct, sys
import bencode

BLOCK = 16 << 10
UT_METADATA = 3


class Torrent:
    def __init__(self, path):
        self.path = path
        with open(path, 'rb') as f:
            raw = f.read()
        # by hand: a hostile info may not be decodable
        start = raw.index(b'4:info') + 6
        self.info = raw[start:-1]
        self.hash = hashlib.sha1(self.info).digest()
        try:
            self.pieces = len(bencode.decode(self.info)[b'pieces']) // 20
        except Exception:
            self.pieces = 1


def message(i, payload=b''):
    return struct.pack('>IB', 1 + len(payload), i) + payload


async def serve(mode, t, r, w):
    if mode == 'mute':
        await r.read()
        return
    await r.readexactly(68)
    own = bytes(20) if mode == 'noinfo' else t.hash
    w.write(b'\x13BitTorrent protocol' + bytes([0, 0, 0, 0, 0, 0x10, 0, 4]) + own + b'-XX0001-' + os.urandom(12))
    if mode == 'garbage':
        w.write(random.randbytes(100000))
    elif mode == 'longmsg':
        w.write(struct.pack('>IB', 0xffffffff, 7) + bytes(50000))
    size = 1 << 31 if mode == 'hugemeta' else len(t.info)
    known = {'ut_metadata': UT_METADATA, **({'ut_pex': 4, 'ut_holepunch': 5} if mode == 'pex' else {})}
    w.write(message(20, b'\0' + bencode.encode({'m': known, 'metadata_size': size, 'v': 'fake'})))
    w.write(message(15 if mode == 'wrongmeta' else 14))  # have none, have all
    if mode in ('silent', 'corrupt', 'drop', 'reject', 'hold'):
        w.write(message(1))
    theirs, blocks, held = {}, 0, set()
    if mode == 'hold':
        asyncio.get_running_loop().create_task(release(t, w, held))
    if mode == 'pex':
        flood(w)
    while True:
        n = struct.unpack('>I', await r.readexactly(4))[0]
        if n == 0:
            continue
        body = await r.readexactly(n)
        if body[0] == 20 and body[1] == 0:
            theirs = bencode.decode(body[2:]).get(b'm', {})
        elif body[0] == 20 and body[1] == UT_METADATA:
            q, _ = bencode.decode_prefix(body[2:])
            if q[b'msg_type'] == 0 and b'ut_metadata' in theirs:
                b = t.info[q[b'piece'] * BLOCK:][:BLOCK]
                if mode == 'wrongmeta':
                    b = random.randbytes(len(b))
                w.write(message(20, bytes([theirs[b'ut_metadata']]) + bencode.encode(
                    {'msg_type': 1, 'piece': q[b'piece'], 'total_size': size}) + b))
        elif body[0] == 6:
            index, begin, length = struct.unpack('>III', body[1:13])
            blocks += 1
            if mode == 'drop' and blocks > 4:
                return
            if mode in ('corrupt', 'drop'):
                data = random.randbytes(length) if mode == 'corrupt' else block(t, index, begin, length)
                w.write(message(7, struct.pack('>II', index, begin) + data))
            elif mode == 'reject':
                w.write(message(16, body[1:13]))
            elif mode == 'hold' and (index, begin) == (20, BLOCK) and not os.path.exists(t.path + '.release'):
                held.add((index, begin, length))
            elif mode == 'hold':
                w.write(message(7, struct.pack('>II', index, begin) + block(t, index, begin, length)))
        elif body[0] == 8 and mode == 'hold' and struct.unpack('>III', body[1:13]) in held:
            held.remove(struct.unpack('>III', body[1:13]))
            w.write(message(16, body[1:13]))
        await w.drain()


async def release(t, w, held):
    """Sends what is held when it may."""
    while not os.path.exists(t.path + '.release'):
        await asyncio.sleep(0.02)
    for index, begin, length in held:
        w.write(message(7, struct.pack('>II', index, begin) + block(t, index, begin, length)))


def contacts():
    """Compact addresses of four kinds, in any order."""
    pack = lambda host, port: socket.inet_aton(host) + struct.pack('>H', port)
    out = [pack('198.19.%d.%d' % (random.randrange(256), random.randrange(1, 255)), random.randrange(1024, 65536)) for _ in range(3000)]
    out += [pack('198.18.222.222', random.randrange(1, 65536)) for _ in range(500)]
    for host in ('127.0.0.1', '10.0.0.1', '192.168.1.1', '169.254.1.1', '0.0.0.0', '224.0.0.1', '240.0.0.1', '255.255.255.255'):
        out += [pack(host, 6881)] * 20
    out += [pack('198.18.250.250', 0)] * 20
    random.shuffle(out)
    return b''.join(out)


def flood(w):
    """Sends a list every 0.1 s, of 255 KiB now and then, until the connection ends."""
    peer, port = w.get_extra_info('peername')[:2]

    async def send():
        told, theirs = 0, 1  # nearly everybody's id of ut_pex
        own = socket.inet_aton(peer) + struct.pack('>H', int(os.environ.get('OWN_PORT', port)))
        try:
            while not w.is_closing():
                added = own + contacts() * (12 if told % 4 == 3 else 1)
                w.write(message(20, bytes([theirs]) + bencode.encode(
                    {'added': added, 'added.f': b'\x1f' * (len(added) // 6), 'dropped': b''})))
                told += 1
                await w.drain()
                await asyncio.sleep(0.1)
        except OSError:
            pass
        print('told', told, flush=True)

    asyncio.get_running_loop().create_task(send())


def block(t, index, begin, length):
    """Honest data of a single-file torrent, whose payload lies in ../data beside the torrents."""
    d = bencode.decode(t.info)
    path = os.path.join(os.path.dirname(os.path.dirname(t.path)), 'data', d[b'name'].decode())
    with open(path, 'rb') as f:
        f.seek(index * d[b'piece length'] + begin)
        return f.read(length)


async def main():
    servers = []
    for arg in sys.argv[1:]:
        addr, mode, path = arg.split('=')
        host, port = addr.rsplit(':', 1)
        t = Torrent(path)

        async def client(r, w, mode=mode, t=t):
            try:
                await serve(mode, t, r, w)
            except (OSError, asyncio.IncompleteReadError, KeyError, ValueError, struct.error):
                pass
            finally:
                w.close()

        servers.append(await asyncio.start_server(client, host, int(port)))
    print('ready', flush=True)
    await asyncio.gather(*(s.serve_forever() for s in servers))


if __name__ == '__main__':
    asyncio.run(main())
