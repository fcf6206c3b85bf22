#!/usr/bin/python3
"""stuck.py DIR: a magnetfs that was killed and cannot end.

Mounts on DIR as magnetfs does. At the first mkdir it tells the kernel that a name in the root has changed, which waits for
the mkdir to be answered, and kills itself instead of answering: its thread waits in the kernel for the program, and the
program for it.
"""
import ctypes, os, signal, struct, sys, threading, time

LOOKUP, GETATTR, MKDIR, INIT = 1, 3, 9, 26
NOTIFY_INVAL_ENTRY = 3
ENOENT, ENOSYS = 2, 38
ROOT = 1


def waits_in_kernel(tid):
    with open('/proc/self/task/%d/stat' % tid) as f:
        return f.read().rpartition(')')[2].split()[0] == 'D'


def main():
    target = sys.argv[1]
    dev = os.open('/dev/fuse', os.O_RDWR)
    libc = ctypes.CDLL(None, use_errno=True)
    options = 'fd=%d,rootmode=40000,user_id=%d,group_id=%d' % (dev, os.getuid(), os.getgid())
    if libc.mount(b'magnetfs:somebody', target.encode(), b'fuse.magnetfs', 6, options.encode()):
        raise OSError(ctypes.get_errno(), 'mount')
    with open('/proc/self/comm', 'w') as f:
        f.write('magnetfs')
    while True:
        request = os.read(dev, 1 << 20)
        opcode, unique = struct.unpack_from('<4xIQ', request)

        def answer(body=b'', error=0):
            os.write(dev, struct.pack('<IiQ', 16 + len(body), -error, unique) + body)
        if opcode == INIT:
            answer(struct.pack('<IIIIHHII', 7, 28, 0, 0, 12, 9, 1 << 17, 1) + bytes(36))
        elif opcode == GETATTR:
            answer(struct.pack('<QII', 0, 0, 0) + struct.pack('<6Q10I', ROOT, 0, 0, 0, 0, 0, 0, 0, 0, 0o40755, 1, os.getuid(),
                                                              os.getgid(), 0, 4096, 0))
        elif opcode == LOOKUP:
            answer(error=ENOENT)
        elif opcode == MKDIR:
            note = struct.pack('<QII', ROOT, 1, 0) + b'x\0'
            note = struct.pack('<IiQ', 16 + len(note), NOTIFY_INVAL_ENTRY, 0) + note
            t = threading.Thread(target=os.write, args=(dev, note), daemon=True)
            t.start()
            while not waits_in_kernel(t.native_id):
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            answer(error=ENOSYS)


if __name__ == '__main__':
    main()
