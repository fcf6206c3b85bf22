#!/usr/bin/python3
"""What system calls do to a mount.

  posix.py torrent OURS REFERENCE OUTSIDE   to the folder of a torrent, beside a read-only file system
  posix.py root MOUNT TORRENT               to the root, where there is the folder TORRENT, and to .magnetfs

REFERENCE has the same files, on a file system that is mounted read-only. Every call below is made on every kind of node of
both, and has to give the same result or the same error, but for the differences in DIFFERENT, which are meant. The folder is
that of the torrent "padded" of make.py: one.bin, run.sh (executable), link -> sub/three.bin, sub.
"""
import ctypes, errno, fcntl, mmap, os, select, socket, stat, struct, sys

libc = ctypes.CDLL(None, use_errno=True)
FILE, PROGRAM, LINK, FOLDER, TOP, MISSING = 'one.bin', 'run.sh', 'link', 'sub', '.', 'missing'
NODES = (FILE, PROGRAM, LINK, FOLDER, TOP, MISSING)
CASES = []
OUTSIDE = None  # a folder that can be written to

# What is not as on other file systems that are mounted read-only, by case: node or *, and what we answer.
#
# Our root takes changes, so the kernel does not refuse all of them by itself: it first looks whether they could be made at
# all, and says that they could not.
DIFFERENT = {
    'link': {FOLDER: 'EPERM', TOP: 'EPERM'},
    'rename': {MISSING: 'ENOENT'},
    'rename to itself': {FILE: None, PROGRAM: None, LINK: None, FOLDER: None, MISSING: 'ENOENT'},
    'rename over a file': {PROGRAM: None, FOLDER: 'ENOTDIR', MISSING: 'ENOENT'},
    'rename over a folder': {FILE: 'EISDIR', PROGRAM: 'EISDIR', LINK: 'EISDIR', FOLDER: None, MISSING: 'ENOENT'},
    'rename into a folder': {FOLDER: 'EINVAL', MISSING: 'ENOENT'},
    'exchange': {PROGRAM: 0, MISSING: 'ENOENT'},
    'setxattr': {LINK: 'EPERM'},
    'removexattr': {LINK: 'EPERM'},
    # Files may be removed, if there is one; so rm, which asks, has to be told that they can be written.
    'rmdir of no folder': {FILE: 'ENOTDIR', LINK: 'ENOTDIR', MISSING: 'ENOENT'},
    'unlink of a folder': {FOLDER: 'EISDIR', MISSING: 'ENOENT'},
    'access W_OK': {FILE: True, PROGRAM: True, LINK: True, FOLDER: True, TOP: True},
    # Flags are an affair of the file systems that have them.
    'get flags': {FILE: 'ENOTTY', PROGRAM: 'ENOTTY', LINK: 'ENOTTY', FOLDER: 'ENOTTY', TOP: 'ENOTTY'},
    'set flags': {FILE: 'ENOTTY', PROGRAM: 'ENOTTY', LINK: 'ENOTTY', FOLDER: 'ENOTTY', TOP: 'ENOTTY'},
    # The kernel does so only within file systems of one type; whoever calls it has another way.
    'copy out': {FILE: 'EXDEV'},
}


def case(name, nodes=NODES):
    def add(f):
        CASES.append((name, nodes, f))
        return f
    return add


def call(name, *args):
    """A system call that Python has no function for."""
    args = [a.encode() if isinstance(a, str) else a for a in args]
    got = getattr(libc, name)(*args)
    if got < 0:
        raise OSError(ctypes.get_errno(), name)
    return got


def opened(path, flags, f):
    fd = os.open(path, flags, 0o644)
    try:
        return f(fd)
    finally:
        os.close(fd)


def reading(f, flags=0):
    return lambda p: opened(p, os.O_RDONLY | flags, f)


# Changes.
for flags in ('O_WRONLY', 'O_RDWR', 'O_RDONLY|O_TRUNC', 'O_WRONLY|O_APPEND', 'O_RDWR|O_DIRECT', 'O_RDONLY|O_CREAT', 'O_WRONLY|O_CREAT',
              'O_RDONLY|O_CREAT|O_EXCL', 'O_WRONLY|O_CREAT|O_TRUNC', 'O_RDWR|O_NOFOLLOW'):
    number = 0
    for flag in flags.split('|'):
        number |= getattr(os, flag)
    case('open ' + flags)(lambda p, n=number: opened(p, n, lambda fd: True))
case('O_TMPFILE')(lambda p: opened(p, os.O_TMPFILE | os.O_RDWR, lambda fd: True))
case('write')(reading(lambda fd: os.write(fd, b'x')))
case('pwrite')(reading(lambda fd: os.pwrite(fd, b'x', 0)))
case('truncate')(lambda p: os.truncate(p, 0))
case('truncate to the same')(lambda p: os.truncate(p, os.stat(p).st_size))
case('ftruncate')(reading(lambda fd: os.ftruncate(fd, 0)))
case('chmod')(lambda p: os.chmod(p, 0o777))
case('fchmod')(reading(lambda fd: os.fchmod(fd, 0o777)))
case('chown')(lambda p: os.chown(p, 0, 0))
case('lchown')(lambda p: os.lchown(p, 0, 0))
case('chown of nothing')(lambda p: os.chown(p, -1, -1))
case('utime')(lambda p: os.utime(p, (1, 1)))
case('lutime')(lambda p: os.utime(p, (1, 1), follow_symlinks=False))
case('utime now')(lambda p: os.utime(p))
case('futimens')(reading(lambda fd: os.utime(fd)))
case('link')(lambda p: os.link(p, p + '.new', follow_symlinks=False))
case('link over')(lambda p: os.link(p, os.path.join(os.path.dirname(p), FILE), follow_symlinks=False))
case('symlink')(lambda p: os.symlink('x', p))
case('mkdir')(lambda p: os.mkdir(p))
case('mkdir below')(lambda p: os.mkdir(p + '/new'))
case('mkfifo')(lambda p: os.mkfifo(p))
case('mknod')(lambda p: os.mknod(p, 0o644 | stat.S_IFREG))
case('mknod below')(lambda p: os.mknod(p + '/new', 0o644 | stat.S_IFREG))
case('bind a socket')(lambda p: bind(p))
case('rename')(lambda p: os.rename(p, p + '.new'))
case('rename to itself')(lambda p: os.rename(p, p))
case('rename over a file')(lambda p: os.rename(p, os.path.join(os.path.dirname(p), PROGRAM)))
case('rename over a folder')(lambda p: os.rename(p, os.path.join(os.path.dirname(p), FOLDER)))
case('rename into a folder')(lambda p: os.rename(p, os.path.join(os.path.dirname(p), FOLDER, 'new')))
case('rename out')(lambda p: os.rename(p, os.path.join(OUTSIDE, 'new')))
case('rename in')(lambda p: os.rename(os.path.join(OUTSIDE, 'file'), p))
case('exchange')(lambda p: call('renameat2', -100, p, -100, os.path.join(os.path.dirname(p), PROGRAM), 2))
case('setxattr')(lambda p: os.setxattr(p, 'user.x', b'1', follow_symlinks=False))
case('setxattr trusted')(lambda p: os.setxattr(p, 'security.x', b'1', follow_symlinks=False))
case('fsetxattr')(reading(lambda fd: os.setxattr(fd, 'user.x', b'1')))
case('removexattr')(lambda p: os.removexattr(p, 'user.x', follow_symlinks=False))
case('fallocate')(reading(lambda fd: call('fallocate', fd, 0, ctypes.c_long(0), ctypes.c_long(10))))
case('posix_fallocate')(reading(lambda fd: os.posix_fallocate(fd, 0, 10)))
case('copy_file_range into')(reading(lambda fd: opened(os.path.join(OUTSIDE, 'file'), os.O_RDONLY, lambda g: os.copy_file_range(g, fd, 3))))
case('sendfile into')(reading(lambda fd: opened(os.path.join(OUTSIDE, 'file'), os.O_RDONLY, lambda g: os.sendfile(fd, g, 0, 3))))
case('shared writable map', (FILE,))(reading(lambda fd: bool(mmap.mmap(fd, 100, prot=mmap.PROT_READ | mmap.PROT_WRITE))))
case('set flags')(reading(lambda fd: fcntl.ioctl(fd, 0x40086602, struct.pack('l', 0x10))))
case('get flags')(reading(lambda fd: bool(fcntl.ioctl(fd, 0x80086601, bytes(8)))))
case('rmdir of no folder', (FILE, LINK, MISSING))(lambda p: os.rmdir(p))
case('rmdir .', (FOLDER,))(lambda p: os.rmdir(p + '/.'))
case('unlink of a folder', (FOLDER, TOP, MISSING))(lambda p: os.unlink(p))
case('quota and other ioctl', (FILE, FOLDER))(reading(lambda fd: fcntl.ioctl(fd, 0x5401, bytes(64))))
for mode in ('F_OK', 'R_OK', 'W_OK', 'X_OK'):
    case('access ' + mode)(lambda p, m=getattr(os, mode): os.access(p, m) or errno.errorcode[why(p, m)])


def why(path, mode):
    return 0 if libc.access(path.encode(), mode) == 0 else ctypes.get_errno()


def bind(path):
    s = socket.socket(socket.AF_UNIX)
    try:
        os.chdir(os.path.dirname(path))  # names of sockets are short
        s.bind(os.path.basename(path))
    finally:
        s.close()


# Looking and reading.
def size(fd):
    return os.fstat(fd).st_size


def around_the_end(fd):
    n = size(fd)
    return [os.pread(fd, 10, off) for off in (0, n - 1, n, n + 1, n + 10**6)] + [len(os.pread(fd, n + 10**6, 0))]


def in_order(fd):
    parts = []
    while part := os.read(fd, 7777):
        parts.append(part)
    return b''.join(parts) + os.read(fd, 10)


def seeks(fd):
    n, got = size(fd), []
    for off, how in ((0, os.SEEK_DATA), (n - 1, os.SEEK_DATA), (n, os.SEEK_DATA), (n + 1, os.SEEK_DATA), (0, os.SEEK_HOLE),
                     (n - 1, os.SEEK_HOLE), (n, os.SEEK_HOLE), (0, os.SEEK_END), (-1, os.SEEK_END), (-1, os.SEEK_SET), (5, os.SEEK_CUR),
                     (n + 100, os.SEEK_SET), (-n - 1, os.SEEK_END), (0, 99)):
        try:
            got.append(os.lseek(fd, off, how))
        except OSError as e:
            got.append(errno.errorcode[e.errno])
    return got


def mapped(fd):
    n = size(fd)
    with mmap.mmap(fd, n, prot=mmap.PROT_READ) as m:
        private = mmap.mmap(fd, n, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
        private[0:3] = b'xyz'
        got = m[:], m[n - 1], private[:5]
        private.close()
        return got


def map_behind_end(fd):
    """The rest of the last page is zeros."""
    n = size(fd)
    libc.mmap.restype = ctypes.c_void_p
    whole = (n + 4095) // 4096 * 4096
    addr = libc.mmap(None, ctypes.c_size_t(whole), 1, 1, fd, ctypes.c_long(0))
    got = ctypes.string_at(addr + n, whole - n)
    libc.munmap(ctypes.c_void_p(addr), ctypes.c_size_t(whole))
    return got


def direct(fd):
    n = size(fd)
    with mmap.mmap(-1, 1 << 20) as m:
        got = os.preadv(fd, [m], 0)
        return got == min(n, 1 << 20), m[:min(n, 1 << 20)]


def vectors(fd):
    a, b = bytearray(100), bytearray(5000)
    return os.preadv(fd, [a, b], 50), bytes(a + b)


def piped(fd):
    r, w = os.pipe()
    try:
        return os.splice(fd, w, 3000, offset_src=10), os.read(r, 5000)
    except AttributeError:
        return 3000, os.pread(fd, 3000, 10)
    finally:
        os.close(r)
        os.close(w)


def copied(fd, how):
    out = os.path.join(OUTSIDE, 'copy')
    with open(out, 'wb+') as f:
        return how(fd, f.fileno()), f.seek(0), f.read()


def locks(fd):
    fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(fd, fcntl.LOCK_UN)
    fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB, 10)
    fcntl.lockf(fd, fcntl.LOCK_UN)
    return True


def polled(fd):
    p = select.poll()
    p.register(fd, select.POLLIN | select.POLLOUT)
    return p.poll(0)[0][1]


def synced(fd):
    os.fsync(fd)
    os.fdatasync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_WILLNEED)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    return call('readahead', fd, ctypes.c_long(0), 4096), call('syncfs', fd), call('sync_file_range', fd, ctypes.c_long(0), ctypes.c_long(0), 7)


case('read around the end', (FILE, PROGRAM, LINK, FOLDER))(reading(around_the_end))
case('read in order', (FILE, PROGRAM, LINK, FOLDER))(reading(in_order))
case('O_NOATIME', (FILE, PROGRAM, LINK, FOLDER))(reading(lambda fd: os.read(fd, 10) and True, os.O_NOATIME))
case('O_NOFOLLOW')(reading(lambda fd: True, os.O_NOFOLLOW))
case('O_DIRECTORY')(reading(lambda fd: True, os.O_DIRECTORY))
case('O_PATH')(reading(lambda fd: stat.S_IFMT(os.fstat(fd).st_mode), os.O_PATH | os.O_NOFOLLOW))
case('O_NONBLOCK', (FILE, LINK))(reading(lambda fd: os.read(fd, 10), os.O_NONBLOCK))
case('O_DIRECT', (FILE,))(reading(direct, os.O_DIRECT))
case('seek', (FILE, PROGRAM))(reading(seeks))
case('map', (FILE, PROGRAM))(reading(mapped))
case('map behind the end', (FILE, PROGRAM))(reading(map_behind_end))
case('readv', (FILE,))(reading(vectors))
case('splice', (FILE,))(reading(piped))
case('copy out', (FILE,))(reading(lambda fd: copied(fd, lambda a, b: os.copy_file_range(a, b, 5000, 100))))
case('send out', (FILE,))(reading(lambda fd: copied(fd, lambda a, b: os.sendfile(b, a, 10, 3000))))
case('locks', (FILE,))(reading(locks))
case('poll', (FILE,))(reading(polled))
case('sync', (FILE, FOLDER, TOP))(reading(lambda fd: (os.fsync(fd), call('syncfs', fd))))
case('sync and advice', (FILE,))(reading(synced))
case('readlink')(os.readlink)
case('stat')(lambda p: (stat.S_IFMT(os.stat(p).st_mode), 0 if os.path.isdir(p) else os.stat(p).st_size, os.stat(p).st_nlink > 0))
case('lstat')(lambda p: (stat.S_IFMT(os.lstat(p).st_mode), 0 if os.path.isdir(p) else os.lstat(p).st_size))
case('stat with a slash')(lambda p: stat.S_IFMT(os.stat(p + '/').st_mode))
case('stat below')(lambda p: os.stat(p + '/x'))
case('stat of ..')(lambda p: os.path.samefile(p + '/..', p.removesuffix('/.').rpartition('/')[0]))
case('device and inode', (FILE, FOLDER, LINK))(lambda p: (os.stat(p).st_dev == os.stat(os.path.dirname(p)).st_dev, os.stat(p).st_ino > 1))
case('times', (FILE, FOLDER))(lambda p: os.stat(p).st_mtime_ns > 0 and os.stat(p).st_mtime_ns <= os.stat(p).st_ctime_ns)
case('statfs', (FILE, FOLDER, TOP))(lambda p: (os.statvfs(p).f_bsize > 0, os.statvfs(p).f_namemax >= 255))
case('getxattr of nothing')(lambda p: os.getxattr(p, 'user.nothing', follow_symlinks=False))
case('getxattr of rights', (FILE, FOLDER))(lambda p: os.getxattr(p, 'security.capability'))
case('long name', (TOP, FOLDER))(lambda p: os.stat(os.path.join(p, 'n' * 255)))
case('too long a name', (TOP, FOLDER))(lambda p: os.stat(os.path.join(p, 'n' * 5000)))
case('empty name')(lambda p: os.stat(''))
case('listing', (TOP, FOLDER, FILE, LINK, MISSING))(lambda p: sorted(os.listdir(p)))
case('kinds', (TOP, FOLDER))(lambda p: sorted((e.name, e.is_dir(follow_symlinks=False), e.is_symlink()) for e in os.scandir(p)))
case('chdir')(lambda p: (os.chdir(p), os.listdir('.') == os.listdir(p), os.path.basename(os.getcwd()) == os.path.basename(os.path.realpath(p)))[1:])
case('run', (FILE, FOLDER, MISSING))(lambda p: os.spawnv(os.P_WAIT, p, [p]))
case('may be run', (PROGRAM, FILE, FOLDER))(lambda p: os.access(p, os.X_OK))


class Dirent(ctypes.Structure):
    _fields_ = [('ino', ctypes.c_uint64), ('off', ctypes.c_int64), ('len', ctypes.c_uint16), ('type', ctypes.c_uint8),
                ('name', ctypes.c_char * 256)]


def walk(path):
    """readdir, telldir, seekdir, rewinddir: the positions hold."""
    for name in ('opendir', 'readdir'):
        getattr(libc, name).restype = ctypes.c_void_p
    d = libc.opendir(path.encode())
    libc.telldir.restype = ctypes.c_long

    def rest():
        names = []
        while e := libc.readdir(ctypes.c_void_p(d)):
            names.append(Dirent.from_address(e).name)
        return names
    try:
        places, names = [], []
        while True:
            places.append(libc.telldir(ctypes.c_void_p(d)))
            e = libc.readdir(ctypes.c_void_p(d))
            if not e:
                break
            names.append(Dirent.from_address(e).name)
        for i, place in enumerate(places):
            libc.seekdir(ctypes.c_void_p(d), ctypes.c_long(place))
            if rest() != names[i:]:
                return 'seekdir to %d of %d' % (i, len(places))
        libc.rewinddir(ctypes.c_void_p(d))
        return sorted(names) if rest() == names else 'rewinddir'
    finally:
        libc.closedir(ctypes.c_void_p(d))


case('readdir', (TOP, FOLDER))(walk)


def result(f, path):
    try:
        return f(path)
    except OSError as e:
        return errno.errorcode.get(e.errno, e.errno)
    except ValueError as e:
        return str(e)
    finally:
        os.chdir('/')


def short(value):
    return value if len(repr(value)) < 100 else repr(value)[:100] + '…'


# In the root: what is not a torrent has no place there.
ROOT = [
    ('open', 'EROFS', lambda r, t: os.open(r + '/new', os.O_CREAT | os.O_WRONLY)),
    ('open .', 'EISDIR', lambda r, t: os.open(r, os.O_RDWR)),
    ('O_TMPFILE', 'EROFS', lambda r, t: os.open(r, os.O_TMPFILE | os.O_RDWR)),
    ('mkdir of no magnet', 'EINVAL', lambda r, t: os.mkdir(r + '/new')),
    ('mkdir of what is there', 'EEXIST', lambda r, t: os.mkdir(t)),
    ('mkdir of .magnetfs', 'EEXIST', lambda r, t: os.mkdir(r + '/.magnetfs')),
    ('mkfifo', 'EROFS', lambda r, t: os.mkfifo(r + '/new')),
    ('symlink', 'EROFS', lambda r, t: os.symlink('x', r + '/new')),
    ('link', 'EROFS', lambda r, t: os.link(t + '/' + FILE, r + '/new')),
    ('rename of a file to here', 'EROFS', lambda r, t: os.rename(t + '/' + FILE, r + '/new')),
    ('rename of a folder to here', 'EROFS', lambda r, t: os.rename(t + '/' + FOLDER, r + '/new')),
    ('rename into a torrent', 'EINVAL', lambda r, t: os.rename(t, t + '/' + FOLDER + '/new')),
    ('rename of nothing', 'ENOENT', lambda r, t: os.rename(r + '/missing', r + '/new')),
    ('rename to .magnetfs', 'EINVAL', lambda r, t: os.rename(t, r + '/.magnetfs')),
    ('rename of .magnetfs', 'EROFS', lambda r, t: os.rename(r + '/.magnetfs', r + '/new')),
    ('exchange', 'EINVAL', lambda r, t: call('renameat2', -100, t, -100, r + '/.magnetfs', 2)),
    ('rmdir of nothing', 'ENOENT', lambda r, t: os.rmdir(r + '/missing')),
    ('rmdir of .magnetfs', 'EROFS', lambda r, t: os.rmdir(r + '/.magnetfs')),
    ('unlink of a torrent', 'EISDIR', lambda r, t: os.unlink(t)),
    ('unlink of nothing', 'ENOENT', lambda r, t: os.unlink(r + '/missing')),
    ('chmod', 'EROFS', lambda r, t: os.chmod(r, 0o777)),
    ('chown', 'EROFS', lambda r, t: os.chown(r, 0, 0)),
    ('utime', 'EROFS', lambda r, t: os.utime(r)),
    ('setxattr', 'EROFS', lambda r, t: os.setxattr(r, 'user.x', b'1')),
    ('removexattr', 'EROFS', lambda r, t: os.removexattr(r, 'user.x')),
    ('getxattr', 'ENODATA', lambda r, t: os.getxattr(r, 'user.x')),
    ('too long a name', 'ENAMETOOLONG', lambda r, t: os.stat(r + '/' + 'n' * 4097)),
    ('write to a file of .magnetfs', 'EROFS', lambda r, t: os.open(r + '/.magnetfs/status', os.O_RDWR)),
    ('truncate a file of .magnetfs', 'EROFS', lambda r, t: os.truncate(r + '/.magnetfs/status', 0)),
    ('read what takes commands', 'EACCES', lambda r, t: os.open(r + '/.magnetfs/add', os.O_RDONLY)),
    ('mkdir in .magnetfs', 'EROFS', lambda r, t: os.mkdir(r + '/.magnetfs/new')),
    ('open in .magnetfs', 'EROFS', lambda r, t: os.open(r + '/.magnetfs/new', os.O_CREAT | os.O_WRONLY)),
    ('unlink in .magnetfs', 'EROFS', lambda r, t: os.unlink(r + '/.magnetfs/status')),
    ('rename in .magnetfs', 'EROFS', lambda r, t: os.rename(r + '/.magnetfs/status', r + '/.magnetfs/new')),
    ('chmod in .magnetfs', 'EROFS', lambda r, t: os.chmod(r + '/.magnetfs/status', 0o777)),
    ('.magnetfs is not listed', False, lambda r, t: '.magnetfs' in os.listdir(r)),
    ('.magnetfs can be walked', True, lambda r, t: 'status' in walk(r + '/.magnetfs') or b'status' in walk(r + '/.magnetfs')),
    ('walk', True, lambda r, t: os.path.basename(t).encode() in walk(r)),
    ('fsync', None, lambda r, t: opened(r, os.O_RDONLY, os.fsync)),
    ('..', True, lambda r, t: os.path.samefile(r + '/..', os.path.dirname(r))),
    ('.. of a torrent', True, lambda r, t: os.path.samefile(t + '/..', r)),
]


def root(mount, torrent):
    faults = 0
    for name, want, f in ROOT:
        got = result(lambda r, f=f: f(r, torrent), mount)
        if got != want:
            faults += 1
            print('%s: %s, not %s' % (name, got, want))
    print('%d calls, %d faults' % (len(ROOT), faults))
    return faults > 0


def beside(ours, reference, outside):
    global OUTSIDE
    OUTSIDE = outside
    with open(os.path.join(OUTSIDE, 'file'), 'w') as f:
        f.write('something')
    faults = calls = 0
    for name, nodes, f in CASES:
        for node in nodes:
            got, want = (result(f, os.path.join(base, node)) for base in (ours, reference))
            meant = DIFFERENT.get(name, {})
            want = meant.get(node, meant.get('*', want))
            calls += 1
            if got != want:
                faults += 1
                print('%s of %s: %s, not %s' % (name, node, short(got), short(want)))
    print('%d calls, %d faults' % (calls, faults))
    return faults > 0


if __name__ == '__main__':
    sys.exit({'torrent': beside, 'root': root}[sys.argv[1]](*sys.argv[2:]))
