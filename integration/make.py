#!/usr/bin/python3
"""make.py DIR VIDEO.mp4 VIDEO.mkv: writes the payloads of the integration test and their torrents.

DIR/data/NAME       payload of the torrent NAME, a file or a folder (padding files are not written)
DIR/torrents/NAME.torrent and NAME.hash (info-hash, 40 hex digits; 64 of a torrent of version 2)
DIR/hostile/bad-NAME.torrent  metainfo files that nobody may accept
DIR/hostile/odd-NAME.torrent  strange ones that may be accepted, if nothing gets out of the torrent's folder

Payloads come from a seed, so every run has the same bytes; each torrent has its own info-hash.
"""
import hashlib, os, random, shutil, sys
import bencode

KIB, MIB = 1 << 10, 1 << 20
TRACKER = '198.18.8.1'  # see net.sh


class Maker:
    def __init__(self, root):
        self.data, self.out = os.path.join(root, 'data'), os.path.join(root, 'torrents')
        for d in (self.data, self.out):
            os.makedirs(d, exist_ok=True)

    def payload(self, path, size):
        """A file of random bytes, the same for the same path."""
        full = os.path.join(self.data, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        rnd = random.Random(path)
        with open(full, 'wb') as f:
            while size:
                n = min(size, MIB)
                f.write(rnd.randbytes(n))
                size -= n

    def single(self, name, piece, size=None):
        if size is not None:
            self.payload(name, size)
        self._write(name, piece, [(os.path.join(self.data, name), None)],
                    {'length': os.path.getsize(os.path.join(self.data, name))})

    def multi(self, name, piece, files, pad=False):
        """files: (path, size, attr) in the torrent's order. With pad, BEP 47 padding aligns each file."""
        entries, parts = [], []
        for i, (path, size, attr) in enumerate(files):
            if attr != 'l':
                self.payload(os.path.join(name, path), size)
                parts.append((os.path.join(self.data, name, path), size))
            e = {'path': path.split('/'), 'length': size}
            if attr:
                e['attr'] = attr
            if attr == 'l':  # size is the target, from the torrent's root; such links lie in the root
                e['length'] = 0
                e['symlink path'] = size.split('/')
                os.symlink(size, os.path.join(self.data, name, path))
            if attr == 'x':
                os.chmod(os.path.join(self.data, name, path), 0o755)
            entries.append(e)
            rest = -size % piece if attr != 'l' else 0
            if pad and rest and i + 1 < len(files):
                entries.append({'path': ['.pad', str(rest)], 'length': rest, 'attr': 'p'})
                parts.append((None, rest))
        self._write(name, piece, parts, {'files': entries})

    def folder(self, name, piece, paths):
        """The files of these paths, which are there already."""
        parts = [(os.path.join(self.data, name, p), os.path.getsize(os.path.join(self.data, name, p))) for p in paths]
        self._write(name, piece, parts, {'files': [{'path': p.split('/'), 'length': n} for p, (_, n) in zip(paths, parts)]})

    def same(self, name, like):
        """The payload of another torrent under a name and info-hash of its own."""
        with open(os.path.join(self.out, like + '.torrent'), 'rb') as f:
            meta = bencode.decode(f.read())
        meta[b'info'][b'source'] = name.encode()
        self.save(name, meta)

    def v2(self, name, piece, files):
        """A torrent of version 2 alone (BEP 52). files: (name, size), sorted; piece is a power of two from 16 KiB."""
        tree, layers = {}, {}
        for path, size in files:
            self.payload(os.path.join(name, path), size)
            with open(os.path.join(self.data, name, path), 'rb') as f:
                leaves = [hashlib.sha256(b).digest() for b in iter(lambda: f.read(16 * KIB), b'')]
            n = piece // (16 * KIB)
            if size <= piece:
                root = self._root(leaves, bytes(32))
            else:
                rows = [leaves[i:i + n] for i in range(0, len(leaves), n)]
                row = [self._root(r + [bytes(32)] * (n - len(r)), bytes(32)) for r in rows]
                root = self._root(row, self._root([bytes(32)] * n, bytes(32)))
                layers[root] = b''.join(row)
            tree[path] = {'': {'length': size, 'pieces root': root}}
        self.save(name, {'info': {'file tree': tree, 'meta version': 2, 'name': name, 'piece length': piece}, 'piece layers': layers})

    def hybrid(self, name, piece, files):
        """A torrent of both versions (BEP 52), by libtorrent. files: (name, size). NAME.hash has its v1 hash, NAME-v2.hash
        what peers are told of the other one, which NAME.hash2 has in full."""
        import libtorrent
        for path, size in files:
            self.payload(os.path.join(name, path), size)
        fs = libtorrent.file_storage()
        libtorrent.add_files(fs, os.path.join(self.data, name))
        t = libtorrent.create_torrent(fs, piece)
        libtorrent.set_piece_hashes(t, self.data)
        with open(os.path.join(self.out, name + '.torrent'), 'wb') as f:
            f.write(libtorrent.bencode(t.generate()))
        hashes = libtorrent.torrent_info(f.name).info_hashes()
        for end, h in (('.hash', str(hashes.v1)), ('.hash2', str(hashes.v2)), ('-v2.hash', str(hashes.v2)[:40])):
            with open(os.path.join(self.out, name + end), 'w') as f:
                f.write(h + '\n')

    @staticmethod
    def _root(row, pad):
        while len(row) > 1 or len(row) & (len(row) - 1):
            if len(row) & (len(row) - 1):
                row = row + [pad] * ((1 << len(row).bit_length()) - len(row))
            row = [hashlib.sha256(row[i] + row[i + 1]).digest() for i in range(0, len(row), 2)]
        return row[0]

    def tracked(self, name, url, private=False):
        """Names a tracker in the file, and makes the torrent a private one (BEP 27)."""
        with open(os.path.join(self.out, name + '.torrent'), 'rb') as f:
            meta = bencode.decode(f.read())
        meta[b'announce'] = url.encode()
        if private:
            meta[b'info'][b'private'] = 1
        self.save(name, meta)

    def tiers(self, name, tiers):
        """Names trackers in tiers (BEP 12)."""
        with open(os.path.join(self.out, name + '.torrent'), 'rb') as f:
            meta = bencode.decode(f.read())
        meta[b'announce-list'] = tiers
        self.save(name, meta)

    def _write(self, name, piece, parts, info):
        pieces, h, room = [], hashlib.sha1(), piece
        for path, size in parts:
            for b in (self._read(path) if path else self._zeros(size)):
                while b:
                    h.update(b[:room])
                    b, room = b[room:], room - min(room, len(b))
                    if not room:
                        pieces.append(h.digest())
                        h, room = hashlib.sha1(), piece
        if room < piece:
            pieces.append(h.digest())
        self.save(name, {'info': dict(info, **{'name': name, 'piece length': piece, 'pieces': b''.join(pieces)})})

    @staticmethod
    def _read(path):
        with open(path, 'rb') as f:
            while b := f.read(MIB):
                yield b

    @staticmethod
    def _zeros(size):
        while size:
            n = min(size, MIB)
            yield bytes(n)
            size -= n

    def save(self, name, meta):
        info = meta.get('info') or meta[b'info']
        with open(os.path.join(self.out, name + '.torrent'), 'wb') as f:
            f.write(bencode.encode(meta))
        with open(os.path.join(self.out, name + '.hash'), 'w') as f:
            hashed = hashlib.sha256 if 'meta version' in info else hashlib.sha1
            f.write(hashed(bencode.encode(info)).hexdigest() + '\n')


def hostile(out):
    """Torrents of hostile shape; each has one piece of 20 zero bytes as hash unless that is the point."""
    os.makedirs(out)

    def write(name, info, **outer):
        with open(os.path.join(out, name + '.torrent'), 'wb') as f:
            # "info" last, so that its raw bytes are the rest of the file (fakepeer.py)
            f.write(b'd' + b''.join(bencode.encode(k) + bencode.encode(v) for k, v in outer.items())
                    + b'4:info' + bencode.encode(info) + b'e')

    def single(**change):
        d = {'name': 'hostile', 'length': 100, 'piece length': 16384, 'pieces': bytes(20)}
        d.update({k.replace('_', ' '): v for k, v in change.items()})
        return {k: v for k, v in d.items() if v is not None}

    def multi(*files):
        return single(length=None, files=[{'path': p, 'length': n, **a} for p, n, a in files])

    write('bad-no-pieces', single(pieces=None))
    write('bad-pieces-not-of-20', single(pieces=bytes(21)))
    write('bad-too-few-pieces', single(length=1 << 40))
    write('bad-piece-length-zero', single(piece_length=0))
    write('bad-piece-length-negative', single(piece_length=-16384))
    write('bad-piece-length-huge', single(piece_length=1 << 62))
    write('bad-length-negative', single(length=-1))
    write('bad-length-overflow', multi((['a'], 1 << 62, {}), (['b'], 1 << 62, {}), (['c'], 1 << 62, {})))
    write('bad-no-name', single(name=None))
    write('bad-name-is-number', single(name=7))
    write('bad-files-empty', multi())
    write('bad-info-is-list', [1, 2])
    write('bad-deep', bencode.Raw(b'l' * 200000 + b'e' * 200000))
    write('bad-integer-of-a-megabyte', bencode.Raw(b'd6:lengthi' + b'9' * (1 << 20) + b'e4:name1:ae'))
    write('bad-string-beyond-the-end', bencode.Raw(b'd4:name99999999999:ae'))
    for name, raw in (('bad-empty', b''), ('bad-text', b'this is no torrent\n'), ('bad-cut', b'd4:infod6:lengthi10')):
        with open(os.path.join(out, name + '.torrent'), 'wb') as f:
            f.write(raw)

    write('odd-climbs', multi((['..', '..', '..', 'escaped'], 50, {}), (['/etc/escaped'], 50, {})))
    write('odd-name-climbs', single(name='../../escaped'))
    write('odd-name-is-dots', single(name='..'))
    write('odd-name-empty', single(name=''))
    write('odd-name-nul', single(name=b'a\0b/escaped\n\x1b[31m\xff'))
    write('odd-name-long', single(name='x' * 5000 + '.bin'))
    write('odd-same-twice', multi((['a'], 40, {}), (['a'], 40, {}), (['a', 'b'], 20, {})))
    write('odd-link-out', multi((['link'], 0, {'attr': 'l', 'symlink path': ['..', '..', 'etc', 'passwd']}), (['f'], 100, {})))
    write('odd-link-loop', multi((['a'], 0, {'attr': 'l', 'symlink path': ['b']}),
                                 (['b'], 0, {'attr': 'l', 'symlink path': ['a']}), (['f'], 100, {})))
    write('odd-control-name', single(name='.magnetfs'))


def main():
    root, mp4, mkv = sys.argv[1:]
    m = Maker(root)
    m.single('big.bin', 256 * KIB, 64 * MIB + 12345)      # odd last piece
    os.link(os.path.join(m.data, 'big.bin'), os.path.join(m.data, 'large.bin'))
    m.single('large.bin', 16 * MIB)
    for video, name in ((mp4, 'video.mp4'), (mkv, 'video.mkv')):
        shutil.copy(video, os.path.join(m.data, name))
        m.single(name, 256 * KIB)
    m.multi('tree', 64 * KIB, [
        ('README', 1234, ''), ('empty', 0, ''), ('dir/a.bin', 3 * MIB + 1, ''), ('dir/deeper/still/b.bin', 777777, ''),
        ('dir/empty too', 0, ''), ('tiny1', 1, ''), ('tiny2', 1, ''), ('tiny3', 1, ''),   # many files in one piece
        ('Ünïcödé/日本語/Привет 🎬.bin', 200001, ''), ('spaces and \'quotes" $x.bin', 65536, ''), ('last.bin', 99, ''),
    ])
    m.multi('padded', 32 * KIB, [
        ('one.bin', 100000, ''), ('run.sh', 5000, 'x'), ('two.bin', 65536, ''), ('sub/three.bin', 12345, ''),
        ('link', 'sub/three.bin', 'l'),
    ], pad=True)
    for name, size in (('from-libtorrent.bin', 9), ('from-transmission.bin', 9), ('from-aria2.bin', 9), ('shared.bin', 8),
                       ('lpd.bin', 4), ('xpe.bin', 4), ('routers.bin', 4), ('user.bin', 4), ('dead.bin', 8), ('hurt.bin', 6),
                       ('wrongmeta.bin', 2), ('spelled.bin', 1), ('home.bin', 24), ('for-home.bin', 2), ('lsd.bin', 2),
                       ('found-one.bin', 2), ('found-two.bin', 2), ('pex.bin', 2), ('pex-two.bin', 2), ('http.bin', 2), ('udp.bin', 2),
                       ('private.bin', 2), ('later.bin', 2), ('offline.bin', 2), ('kept.bin', 9), ('punch.bin', 2), ('punch-two.bin', 2), ('tiers.bin', 2), ('flood.bin', 2)):
        m.single(name, 128 * KIB, size * MIB + 4321)
    for name in ('home-lpd.bin', 'six-dht.bin', 'six-lpd.bin', 'six-pex.bin', 'roam-one.bin', 'roam-two.bin'):
        m.single(name, 128 * KIB, 300 * KIB)
    m.v2('v2', 16 * KIB, [('long.bin', 10 * MIB + 1), ('middle.bin', 50000), ('short.bin', 1000)])  # 641 pieces: two requests
    m.hybrid('hybrid', 32 * KIB, [('one.bin', 500000), ('two.bin', 700001)])
    m.hybrid('hybrid-two', 32 * KIB, [('three.bin', 400000), ('four.bin', 300001)])
    m.tracked('http.bin', 'http://%s:6969/announce' % TRACKER)
    m.tracked('udp.bin', 'udp://%s:6969/announce' % TRACKER)
    m.tiers('tiers.bin', [
        ['http://%s:%d/announce' % (TRACKER, port) for port in (7001, 7002, 7003, 7010)],  # three of which are dead
        ['%s://%s:6969/%s' % (kind, TRACKER, path) for kind in ('http', 'udp') for path in ('announce', 'announce?x=1')],
    ])
    m.tracked('private.bin', 'udp://%s:6969/announce' % TRACKER, private=True)
    m.same('dead-two.bin', 'dead.bin')
    m.same('limits.bin', 'big.bin')
    m.same('held.bin', 'dead.bin')
    m.same('shared-two.bin', 'shared.bin')
    hostile(os.path.join(root, 'hostile'))


if __name__ == '__main__':
    main()
