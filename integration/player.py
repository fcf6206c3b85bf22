#!/usr/bin/python3
"""player.py FILE [SEEK%…]: plays a film in mpv without picture and sound, and seeks, as a person at the keyboard would.

It must play on for a second from the beginning and after each seek (given in percent, 60 and 20 by default), and its
position must be there. Prints when it did; exit status 1 if it does not play within $PATIENCE seconds (20) each.
"""
import json, os, socket, subprocess, sys, tempfile, time

PATIENCE = float(os.environ.get('PATIENCE', 20))


class Player:
    def __init__(self, path, folder):
        self.sock = os.path.join(folder, 'mpv')
        self.proc = subprocess.Popen(['mpv', '--no-config', '--vo=null', '--ao=null', '--no-terminal', '--hr-seek=yes',
                                      '--log-file=' + os.path.join(folder, 'log'), '--input-ipc-server=' + self.sock, path],
                                     stdin=subprocess.DEVNULL)
        self.log = os.path.join(folder, 'log')
        end = time.monotonic() + PATIENCE
        self.s = socket.socket(socket.AF_UNIX)
        while True:
            try:
                self.s.connect(self.sock)
                break
            except OSError:
                if time.monotonic() > end or self.proc.poll() is not None:
                    raise SystemExit('mpv did not start')
                time.sleep(0.02)
        self.f, self.n = self.s.makefile('rw'), 0

    def ask(self, *command):
        self.n += 1
        self.f.write(json.dumps({'command': command, 'request_id': self.n}) + '\n')
        self.f.flush()
        while True:
            line = self.f.readline()
            if not line:
                raise SystemExit('mpv ended: status %s\n%s' % (self.proc.wait(), self.errors()))
            r = json.loads(line)
            if r.get('request_id') == self.n and 'event' not in r:
                return r.get('data')

    def errors(self):
        with open(self.log, errors='replace') as f:
            return ''.join(line for line in f if '][e]' in line or '][f]' in line)

    def plays(self, at):
        """Waits until the position is within 3 s after `at` and moves by a second."""
        end, first = time.monotonic() + PATIENCE, None
        while time.monotonic() < end:
            pos = self.ask('get_property', 'time-pos')
            if pos is not None and at - 1 <= pos <= at + 6:
                first = pos if first is None else first
                if pos >= first + 1:
                    return
            time.sleep(0.05)
        raise SystemExit('does not play at %.0f s: position %s\n%s' % (at, pos, self.errors()))


def main():
    path, seeks = sys.argv[1], [float(x) for x in sys.argv[2:]] or [60, 20]
    with tempfile.TemporaryDirectory() as folder:
        p = Player(path, folder)
        try:
            start = time.monotonic()
            p.plays(0)
            told = ['start %.1f s' % (time.monotonic() - start)]
            length = p.ask('get_property', 'duration')
            for percent in seeks:
                start = time.monotonic()
                p.ask('seek', percent, 'absolute-percent')
                p.plays(length * percent / 100)
                told.append('%g %% %.1f s' % (percent, time.monotonic() - start))
            if e := p.errors():
                raise SystemExit(e)
            p.ask('quit')
            if status := p.proc.wait(5):
                raise SystemExit('mpv: status %d' % status)
            print(', '.join(told), '(each with one second of film)')
        finally:
            if p.proc.poll() is None:
                p.proc.kill()
                p.proc.wait()


if __name__ == '__main__':
    main()
