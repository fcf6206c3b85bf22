#!/usr/bin/python3
"""crash.py ROUNDS SEED MAGNETFS MOUNTPOINT PEER DATA TORRENTS NAME…

Mounts, works the mount hard, kills its process with SIGKILL at a random moment, and looks what is left after the next mount;
ROUNDS times. The torrents NAME… are single files DATA/NAME with info-hashes TORRENTS/NAME.hash, had by PEER.

At work: readers that compare what they get with the original, by read(2) and by mappings, somebody who adds, labels and
removes torrents, somebody who pins and unpins. After each restart:

- torrents whose mkdir or cp had returned are there, with their metadata, those whose rmdir had returned are not, and labels are as mv left them;
- a pin that was set is set, one that was taken back is not;
- of each torrent as much is there as two seconds before the kill at least; readers go on to compare it.

In the end all of every torrent is compared.

The state and cache folders are those of the environment. Prints a line for each fault, then one with sums; exit status 1 for
faults.
"""
import hashlib, json, mmap, os, random, signal, subprocess, sys, threading, time
import bencode

GRACE = 2.0  # seconds before the kill of which the work may be lost
FLAGS = ['--no-dht', '--no-lpd', '--ram', '32MiB']
WAYS = [[], ['--no-passthrough']]  # taken in turn: who reads a file that is here as a whole
PIN, HAVE = 'user.magnetfs.pin', 'user.magnetfs.have'


class Crash:
    def __init__(self, seed, magnetfs, mnt, peer, data, torrents, names):
        self.rnd, self.magnetfs, self.mnt, self.peer, self.data = random.Random(seed), magnetfs, mnt, peer, data
        self.hashes = {}
        for n in names:
            with open(os.path.join(torrents, n + '.hash')) as f:
                self.hashes[n] = f.read().strip()
        self.size = {n: os.path.getsize(os.path.join(data, n)) for n in names}
        self.faults, self.lock = [], threading.Lock()
        self.here, self.gone = {}, set()                # hashes whose mkdir returned, with their names; whose rmdir returned
        self.pins = {}                                  # by name, as setxattr returned; None: not known
        self.samples = {n: [] for n in names}           # (when, bytes here)
        self.read = self.fetched = self.lost = self.most = self.kept = 0
        self.slowest, self.mounts = 0.0, 0
        self.added = self.labelled = 0

    def path(self, name):
        return os.path.join(self.mnt, name, name)

    def fault(self, text):
        self.faults.append(text)
        print(text, flush=True)

    def stillborn(self):
        """A mount that is killed before it is one, or just then."""
        p = subprocess.Popen([self.magnetfs, 'mount', '-f', self.mnt] + FLAGS, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(self.rnd.uniform(0, 0.15))
        p.kill()
        p.wait()

    def mount(self):
        start = time.monotonic()
        self.mounts += 1
        p = subprocess.run([self.magnetfs, 'mount', self.mnt] + FLAGS + WAYS[self.mounts % len(WAYS)], capture_output=True, text=True, timeout=60)
        if p.returncode:
            raise SystemExit('mount: ' + p.stderr)
        self.slowest = max(self.slowest, time.monotonic() - start)
        with open(os.path.join(self.mnt, '.magnetfs', 'pid')) as f:
            return int(f.read())

    def add(self, name):
        os.mkdir(os.path.join(self.mnt, 'magnet:?xt=urn:btih:%s&dn=%s&x.pe=%s' % (self.hashes[name], name, self.peer)))

    def ready(self):
        """Waits until all files can be listed."""
        for n in self.hashes:
            end = time.monotonic() + 30
            while not os.path.exists(self.path(n)):
                if time.monotonic() > end:
                    raise SystemExit('%s has no metadata after 30 s' % n)
                time.sleep(0.02)

    # The workers. An OSError is a fault unless the process was being killed.

    def work(self, what, seed):
        rnd = random.Random(seed)
        while not self.stop.is_set():
            try:
                what(rnd)
            except OSError as e:
                if not self.killing:
                    self.fault('%s: %s' % (what.__name__, e))
                return

    def compare(self, rnd):
        name = rnd.choice(list(self.hashes))
        with open(self.path(name), 'rb', buffering=0) as f, open(os.path.join(self.data, name), 'rb') as g:
            off = rnd.randrange(self.size[name])
            for _ in range(rnd.choice((1, 1, 30))):  # some read on
                n = rnd.randrange(1, 200000)
                got, want = os.pread(f.fileno(), n, off), os.pread(g.fileno(), n, off)
                if got != want[:len(got)]:
                    self.fault('WRONG BYTES: %d at %d of %s' % (n, off, name))
                if len(got) != len(want) and not self.killing:  # a read of which the kill spoils the end is a short one
                    self.fault('%d bytes at %d of %s, not %d' % (len(got), off, name, len(want)))
                self.read += len(got)
                off += n
                if self.stop.is_set() or off >= self.size[name]:
                    return

    def mapper(self, seed):
        """A process that compares by mappings, until SIGBUS ends it, which a page that cannot be read any more does."""
        rnd = random.Random(seed)
        while True:
            try:
                name = rnd.choice(list(self.hashes))
                with open(self.path(name), 'rb') as f, open(os.path.join(self.data, name), 'rb') as g, \
                        mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as m:
                    for _ in range(30):
                        off, n = rnd.randrange(self.size[name]), rnd.randrange(1, 100000)
                        if m[off:off + n] != os.pread(g.fileno(), n, off):
                            print('WRONG BYTES mapped: %d at %d of %s' % (n, off, name), flush=True)
                            os._exit(1)
            except OSError:
                os._exit(0)

    def mappers(self):
        pids = []
        for _ in range(2):
            pid = os.fork()
            if not pid:
                self.mapper(self.rnd.random())
            pids.append(pid)
        return pids

    def take(self, rnd):
        """A torrent that is there, for one thread to change."""
        with self.lock:
            h = rnd.choice(sorted(self.here))
            return h, self.here.pop(h)

    def change(self, rnd):
        time.sleep(rnd.random() * 0.1)
        what = rnd.random()
        if what < 0.3 and len(self.here) > 5:
            h, old = self.take(rnd)
            new = 'label %d' % rnd.randrange(10**9)
            os.rename(os.path.join(self.mnt, old), os.path.join(self.mnt, new))
            self.here[h] = new
            self.labelled += 1
        elif what < 0.6 and len(self.here) > 10:
            h, name = self.take(rnd)
            os.rmdir(os.path.join(self.mnt, name))
            self.gone.add(h)
        elif what < 0.8:
            h = rnd.randbytes(20).hex()
            os.mkdir(os.path.join(self.mnt, h))
            self.here[h] = h
            self.added += 1
        else:
            name = 'file %d' % rnd.randrange(10**9)
            info = {'length': 5, 'name': name, 'piece length': 16384, 'pieces': rnd.randbytes(20)}
            with open(os.path.join(self.mnt, name + '.torrent'), 'wb') as f:
                f.write(bencode.encode({'info': info}))
            self.here[hashlib.sha1(bencode.encode(info)).hexdigest()] = name
            self.added += 1

    def pin(self, rnd):
        time.sleep(rnd.random() * 0.2)
        name, value = rnd.choice(list(self.hashes)), rnd.choice((b'0', b'1'))
        self.pins[name] = None
        os.setxattr(self.path(name), PIN, value)
        self.pins[name] = value

    def sample(self, _):
        for n in self.hashes:
            have = int(os.getxattr(self.path(n), HAVE))
            self.samples[n].append((time.monotonic(), have))
        time.sleep(0.05)

    def look(self, killed):
        """What is there after a restart."""
        listed = set(os.listdir(self.mnt))
        for h, name in self.here.items():
            if name not in listed:
                self.fault('torrent %s is lost, or not called %s' % (h, name))
            elif name.startswith('file ') and not os.path.exists(os.path.join(self.mnt, name, name)):
                self.fault('the metadata of %s is lost' % name)
        for h in self.gone:
            if os.path.exists(os.path.join(self.mnt, h)):
                self.fault('torrent %s is back' % h)
        for n in self.hashes:
            if not os.path.exists(self.path(n)):
                self.fault('the metadata of %s is lost' % n)
        for n, value in self.pins.items():
            if value is not None and os.getxattr(self.path(n), PIN) != value:
                self.fault('pin of %s is not %s' % (n, value.decode()))
        for n, samples in self.samples.items():
            have = int(os.getxattr(self.path(n), HAVE))
            safe = max([b for t, b in samples if t < killed - GRACE], default=0)
            last = max([b for t, b in samples], default=0)
            if have < safe:
                self.fault('%s: %d bytes are here, %d were %s s before' % (n, have, safe, GRACE))
            self.lost += max(0, last - have)
            self.most = max(self.most, last - have)
            self.kept += have
            samples.clear()
            samples.append((0, have))

    def run(self, rounds):
        pid = self.mount()
        for n in self.hashes:
            self.add(n)
        for _ in range(rounds):
            self.ready()
            self.stop, self.killing = threading.Event(), False
            mappers = self.mappers()
            jobs = [self.compare] * 4 + [self.change] * 2 + [self.pin, self.sample]
            threads = [threading.Thread(target=self.work, args=(j, self.rnd.random())) for j in jobs]
            for t in threads:
                t.start()
            time.sleep(self.rnd.uniform(2, 4) if rounds > 10 and self.rnd.random() < 0.3 else self.rnd.uniform(0.1, 1.5))
            fetched = [t['downloaded'] for t in self.status() if t['name'] in self.hashes]
            self.killing = True
            killed = time.monotonic()
            os.kill(pid, signal.SIGKILL)
            self.stop.set()
            for t in threads:
                t.join()
            for m in mappers:
                status = os.waitpid(m, 0)[1]
                if status not in (0, signal.SIGBUS, signal.SIGBUS | 0x80):
                    self.fault('a program that maps files ended with %x' % status)
            self.fetched += sum(fetched)
            if self.rnd.random() < 0.3:
                self.stillborn()
            pid = self.mount()
            self.look(killed)
            if self.rnd.random() < 0.5:  # so that there is something to fetch
                n = self.rnd.choice(list(self.hashes))
                subprocess.run([self.magnetfs, 'rm', '--purge', self.mnt, n], check=True)
                self.add(n)
                self.pins.pop(n, None)
                self.samples[n].clear()
        self.ready()
        for n in self.hashes:
            if subprocess.run(['cmp', self.path(n), os.path.join(self.data, n)]).returncode:
                self.fault('%s differs in the end' % n)
        subprocess.run([self.magnetfs, 'umount', self.mnt], check=True)
        print('%d kills, %d faults; %d MiB compared, %d fetched; after a restart %d here in the mean, of what was seen before '
              '%.2f missing in the mean, %.2f at most; %d torrents added, %d labelled, %d removed; slowest mount %.2f s' %
              (rounds, len(self.faults), self.read >> 20, self.fetched >> 20, (self.kept >> 20) / rounds,
               self.lost / (1 << 20) / rounds, self.most / (1 << 20), self.added, self.labelled, len(self.gone), self.slowest))
        return bool(self.faults)

    def status(self):
        with open(os.path.join(self.mnt, '.magnetfs', 'status.json')) as f:
            return json.load(f)


def main():
    rounds, seed, magnetfs, mnt, peer, data, torrents, *names = sys.argv[1:]
    return Crash(int(seed), magnetfs, mnt, peer, data, torrents, names).run(int(rounds))


if __name__ == '__main__':
    sys.exit(main())
