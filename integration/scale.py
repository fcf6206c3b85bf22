#!/usr/bin/python3
"""scale.py: large torrents for the checks of checks/scale.sh, made when they run.

  scale.py files ROOT NAME N           payload and torrent of N small files in N/50 folders, as make.py lays them out, with
                                       ROOT/NAME.md5 for md5sum -c
  scale.py single ROOT NAME KIB        torrent with pieces of so many KiB, of the file ROOT/data/NAME that is there
  scale.py many DIR N                  N torrent files of 20 files and 400 pieces each, of torrents that nobody has
"""
import hashlib, os, random, sys
import bencode
from make import KIB, Maker


def files(root, name, n):
    rnd = random.Random(name)
    paths = [('folder %03d/file %04d.dat' % (i // 50, i), rnd.choice((0, 1, 900, 5000, 12000, 40000)), '') for i in range(n)]
    m = Maker(root)
    m.multi(name, 128 * KIB, paths)
    with open(os.path.join(root, name + '.md5'), 'w') as sums:
        for path, _, _ in paths:
            with open(os.path.join(m.data, name, path), 'rb') as f:
                sums.write('%s  %s\n' % (hashlib.md5(f.read()).hexdigest(), path))


def many(out, n, pieces=400, piece=256 * KIB, per=20):
    os.makedirs(out, exist_ok=True)
    for i in range(n):
        name = 'many-%04d' % i
        hashes = b''.join(hashlib.sha1(b'%s %d' % (name.encode(), p)).digest() for p in range(pieces))
        parts = [{'length': pieces * piece // per, 'path': ['part %d' % (k % 3), 'file %02d.bin' % k]} for k in range(per)]
        with open(os.path.join(out, name + '.torrent'), 'wb') as f:
            f.write(bencode.encode({'info': {'name': name, 'piece length': piece, 'pieces': hashes, 'files': parts}}))


def main():
    what, args = sys.argv[1], sys.argv[2:]
    if what == 'files':
        files(args[0], args[1], int(args[2]))
    elif what == 'single':
        Maker(args[0]).single(args[1], int(args[2]) * KIB)
    else:
        many(args[0], int(args[1]))


if __name__ == '__main__':
    main()
