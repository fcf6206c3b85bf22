#!/usr/bin/python3
"""blocked.py [--signal INT] [--after 1.0] [--within 1.0] -- COMMAND…: a program that hangs must end at a signal.

Starts the command in a session of its own, sees that it still runs --after seconds later, sends the signal (KILL, INT, …,
or 'none' to wait for its own end) and wants it to have ended, and been reaped, --within seconds. Prints how long that took.
Exit status 0 if so; 1 if it ended too early; 2 if too late (then it is killed).
"""
import argparse, os, signal, subprocess, sys, time


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--signal', default='INT')
    p.add_argument('--after', type=float, default=1.0)
    p.add_argument('--within', type=float, default=1.0)
    p.add_argument('command', nargs='+')
    a = p.parse_args()
    # A shell's background jobs ignore SIGINT; here it is as if typed at a terminal.
    child = subprocess.Popen(a.command, start_new_session=True, stdin=subprocess.DEVNULL,
                             preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    try:
        status = child.wait(a.after)
        print('ended with status %d before the signal' % status)
        return 1
    except subprocess.TimeoutExpired:
        pass
    start = time.monotonic()
    if a.signal != 'none':
        os.kill(child.pid, getattr(signal, 'SIG' + a.signal))
    try:
        child.wait(a.within)
    except subprocess.TimeoutExpired:
        with open('/proc/%d/stat' % child.pid) as f:
            state = f.read().rsplit(')', 1)[1].split()[0]
        child.kill()
        print('still there %g s after SIG%s, state %s' % (a.within, a.signal, state))
        return 2
    print('ended %.3f s after SIG%s, status %d' % (time.monotonic() - start, a.signal, child.returncode))
    return 0


if __name__ == '__main__':
    sys.exit(main())
