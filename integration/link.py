#!/usr/bin/python3
"""link.py NAME PID NAME PID [delay=MS] [loss=PERCENT] [rate=KBIT] [queue=KB] [hole=BYTES]: a line between two networks.

Makes a TUN interface NAME in the network namespace of each process PID, and carries packets between them until it is killed:
delay in each direction, random loss, a rate with a queue that drops what it has no room for, and longer packets than BYTES
vanish without a word, as on a path whose routers drop fragments. Prints "ready", and with SIGUSR1 what was carried, lost,
and vanished. (tc netem does as much, but not every kernel has it.)
"""
import ctypes, fcntl, heapq, os, random, select, signal, struct, sys, time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454ca, 1, 0x1000


def tun(name, pid):
    """A TUN interface in the network of the process; its file."""
    with open('/proc/%s/ns/net' % pid) as ns:
        if ctypes.CDLL(None, use_errno=True).setns(ns.fileno(), 0) != 0:
            raise OSError(ctypes.get_errno(), 'setns')
    fd = os.open(os.environ.get('TUN', '/dev/net/tun'), os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack('16sH22x', name.encode(), IFF_TUN | IFF_NO_PI))
    return fd


def main():
    a, b = tun(*sys.argv[1:3]), tun(*sys.argv[3:5])
    opt = {'delay': 0.0, 'loss': 0.0, 'rate': 0.0, 'queue': 100.0, 'hole': 65536.0}
    opt.update((k, float(v)) for k, v in (x.split('=') for x in sys.argv[5:]))
    other = {a: b, b: a}
    free = {a: 0.0, b: 0.0}  # when the line is free again, by the side that sends
    rnd, waiting, count = random.Random(7), [], {'carried': 0, 'lost': 0, 'vanished': 0}
    signal.signal(signal.SIGUSR1, lambda *_: print(*('%s=%d' % x for x in count.items()), flush=True))
    print('ready', flush=True)
    n = 0
    while True:
        due = waiting[0][0] - time.monotonic() if waiting else 1
        for fd in select.select([a, b], [], [], max(0, due))[0]:
            for _ in range(64):
                try:
                    p = os.read(fd, 65536)
                except BlockingIOError:
                    break
                now = time.monotonic()
                if len(p) > opt['hole']:
                    count['vanished'] += 1
                    continue
                if rnd.random() * 100 < opt['loss']:
                    count['lost'] += 1
                    continue
                at = now
                if opt['rate']:
                    if free[fd] > now + opt['queue'] * 8 / opt['rate']:
                        count['lost'] += 1
                        continue
                    at = free[fd] = max(now, free[fd]) + len(p) * 8 / opt['rate'] / 1000
                n += 1
                heapq.heappush(waiting, (at + opt['delay'] / 1000, n, other[fd], p))
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, fd, p = heapq.heappop(waiting)
            count['carried'] += 1
            try:
                os.write(fd, p)
            except OSError:
                count['lost'] += 1


if __name__ == '__main__':
    main()
