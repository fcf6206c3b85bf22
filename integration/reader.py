#!/usr/bin/python3
"""Readers that compare a file with its original.

  reader.py parallel FILE ORIGINAL [N]   N threads (8) read random ranges with pread, all at once, $READS (24) each
  reader.py mmap FILE ORIGINAL           touches pages here and there through a memory map, then reads on
  reader.py hang FILE                    reads and swallows nothing: SIGINT raises KeyboardInterrupt
"""
import mmap, os, random, sys, threading

READS, LONGEST = int(os.environ.get('READS', 24)), 300000


def parallel(path, original, n=8):
    a, b = os.open(path, os.O_RDONLY), os.open(original, os.O_RDONLY)
    size = os.fstat(b).st_size
    if os.fstat(a).st_size != size:
        return 'size %d, not %d' % (os.fstat(a).st_size, size)
    wrong = []

    def reader(seed):
        rnd = random.Random(seed)
        try:
            for _ in range(READS):
                off, want = rnd.randrange(size), rnd.randrange(1, LONGEST)
                if os.pread(a, want, off) != os.pread(b, want, off):
                    wrong.append('%d bytes at %d differ' % (want, off))
        except OSError as e:
            wrong.append(str(e))

    threads = [threading.Thread(target=reader, args=(i,)) for i in range(int(n))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return '; '.join(wrong)


def mapped(path, original):
    with open(path, 'rb') as f, open(original, 'rb') as g:
        size = os.path.getsize(original)
        m = mmap.mmap(f.fileno(), size, prot=mmap.PROT_READ)
        rnd = random.Random(1)
        for off in [0, size - 1, size // 2] + [rnd.randrange(size) for _ in range(40)]:
            g.seek(off)
            want = g.read(5000)
            if m[off:off + 5000] != want:
                return 'map differs at %d' % off
        g.seek(0)
        if m[:2 << 20] != g.read(2 << 20):
            return 'map differs in order'
    return ''


def hang(path):
    with open(path, 'rb', buffering=0) as f:
        while f.read(1 << 16):
            pass


def main():
    if sys.argv[1] == 'hang':
        return hang(sys.argv[2])
    fault = {'parallel': parallel, 'mmap': mapped}[sys.argv[1]](*sys.argv[2:])
    if fault:
        print(fault)
    return bool(fault)


if __name__ == '__main__':
    sys.exit(main())
