#!/usr/bin/python3
"""watched.py CONTROL HASH SIZE…: what `magnetfs status --watch` shows in the tmux session "watch" is what the mount says.

CONTROL is the mount's control folder, HASH the selected torrent, whose state must not change but for times. The window is
resized to each SIZE (80x24) in turn. Checked each time: the first line is the title, the last one the keys, nothing wraps;
each line of the torrent list is true; the torrent's details, gathered by scrolling through them alone on the screen, are
true from the first to the last; the keys 1 to 4 lead to their sections. Exit status 1, with the screen, if not.
"""
import json, re, subprocess, sys, time

GLYPHS = {'#': '█', '!': '!', '>': '>', '+': '+', '.': '·'}
PATIENCE = 15  # seconds; the view looks at the mount once a second


def tmux(*args):
    return subprocess.run(['tmux', '-L', 'magnetfs', '-f', '/dev/null', *args], check=True, capture_output=True, text=True).stdout


def keys(*names):
    tmux('send-keys', '-t', 'watch', *names)


def screen():
    return tmux('capture-pane', '-p', '-t', 'watch').rstrip('\n').split('\n')


class Wrong(Exception):
    pass


def need(what, ok):
    if not ok:
        raise Wrong(what)


def until(check):
    """Calls check until it does not complain; what it complained of last is what is wrong."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return check()
        except Wrong as e:
            if time.monotonic() > end:
                print('\n'.join(screen()))
                sys.exit('wrong: %s' % e)
            time.sleep(0.1)


def size(n):
    """Bytes as the view writes them."""
    if n < 10:
        return '%d B' % n
    unit, units = float(n), ['B', 'KiB', 'MiB', 'GiB', 'TiB']
    while unit >= 1024 and len(units) > 1:
        unit /= 1024
        units.pop(0)
    unit = int(unit * 10 + 0.5) / 10
    return ('%.1f %s' if unit < 10 else '%.0f %s') % (unit, units[0])


class View:
    def __init__(self, control, torrent):
        self.control, self.torrent = control, torrent

    def all(self):
        with open(self.control + '/status.json') as f:
            return json.load(f)

    def state(self):
        return next(t for t in self.all() if t['info_hash'] == self.torrent)

    def pieces(self):
        with open('%s/by-hash/%s/pieces' % (self.control, self.torrent)) as f:
            return ''.join(line[10:].rstrip('\n') for line in f.readlines()[1:])

    def resize(self, width, height):
        self.width, self.height = width, height
        tmux('resize-window', '-t', 'watch', '-x', str(width), '-y', str(height))
        until(self.framed)

    def framed(self):
        """The screen is filled from the title to the keys, so no line was wider than it."""
        s = screen()
        need('%d lines of %d' % (len(s), self.height), len(s) == self.height)
        need('no title', s[0].startswith(self.control.rsplit('/', 1)[0][:self.width - 1]))
        need('no keys', 'quit' in s[-1] or self.width < 20)
        need('one head of the list', sum(line.startswith('Torrent ') for line in s) == 1)
        need('a line of %d' % max(map(len, s)), max(map(len, s)) <= self.width)
        return s

    def listed(self):
        """Every torrent on the screen, with what stands beside it."""
        s, truth = self.framed(), {t['name']: t for t in self.all()}
        rows = s[2:next(i for i, line in enumerate(s) if '────' in line)]
        need('no torrent', rows)
        for row in rows:
            m = re.match(r'(.*?) +(resolving|idle|active|stalled|broken|closed)\b', row)
            need('a state in %r' % row, m)
            name = m.group(1)
            t = next((t for n, t in truth.items() if n == name or name.endswith('…') and n.startswith(name[:-1])), None)
            need('no torrent is called %r' % name, t)
            need('the state in %r' % row, (' %s ' % t['state']) in row + ' ')
            if t['size'] and self.width >= 50:
                need('have and size in %r' % row, ' %d%% ' % (t['have'] * 100 // t['size']) in row and size(t['size']) in row)
            waiting = sum(len(r['waiting']) for r in t['readers'])
            if waiting and self.width >= 80:
                need('%d waiting in %r' % (waiting, row), row.rstrip().endswith(' %d' % waiting))

    def walk(self):
        """Down the whole list and up again: every torrent can be reached."""
        names, seen = [t['name'] for t in self.all()], set()
        keys('Home')
        for i in range(len(names)):
            def there(i=i):
                s = self.framed()
                rule = next(line for line in s if '────' in line)
                seen.add(rule.split(' ──')[0])
                need('%d selected' % (i + 1), len(seen) == i + 1)
            until(there)
            keys('Down')
        need('all of %s' % names, {n[:self.width - 8] for n in names} == {n[:self.width - 8] for n in seen})

    def select(self):
        keys('Home')
        for t in self.all():
            until(lambda: need('%s is not selected' % t['name'], any(line.startswith(t['name'][:self.width - 8] + ' ──') for line in screen())))
            if t['info_hash'] == self.torrent:
                return
            keys('Down')

    def page(self):
        """The lines that are shown, the number of the first, and how many there are."""
        s = screen()
        m = re.match(r'(\d+)-(\d+) of (\d+)', s[-1])
        body = [line.rstrip() for line in s[2:-1]]
        if not m:
            return body, 1, len(body)
        first, last, total = map(int, m.groups())
        need('%d lines for %s' % (len(body), m.group()), last - first + 1 == len(body))
        return body, first, total

    def details(self):
        """All lines of the details, by scrolling."""
        keys('g')

        def top():
            body, first, total = self.page()
            need('the first line', first == 1)
            return body, total
        lines, total = until(top)
        while len(lines) < total:
            shown = len(lines)
            keys('PageDown')

            def further():
                body, first, now = self.page()
                need('line %d' % (shown + 1), now != total or first <= shown + 1 < first + len(body))
                return body, first, now
            body, first, now = until(further)
            need('the torrent stands still', now == total)
            lines += body[shown + 1 - first:]
        keys('g')
        return lines

    def true_details(self):
        def check():
            before, pieces = self.state(), self.pieces()
            text = self.details()
            after = self.state()
            same = lambda t: json.dumps([t['have_pieces'], [r['offset'] for r in t['readers']], [p['addr'] for p in t['connected']],
                                         [(s['status'], s['seeds'], s['peers']) for s in t['sources']]])
            need('the torrent stands still', same(before) == same(after) and pieces == self.pieces())
            self.compare(before, after, pieces, text)
        until(check)

    def compare(self, t, later, pieces, text):
        whole = '\n'.join(text)
        need('the state', text[0].startswith(t['state'][:self.width]))
        need('what is here', '%s of %s here, %d of %d pieces; %d seed%s and %d peer%s connected, %d more known' % (
            size(t['have']), size(t['size']), t['have_pieces'], t['pieces'], t['seeds'], 's'[t['seeds'] == 1:],
            t['peers'], 's'[t['peers'] == 1:], t['candidates'])
             in ' '.join(text[:text.index(t['info_hash'])]))
        starts = [next((i for i, line in enumerate(text) if line.startswith(head)), -1) for head in ('Readers', 'Name', 'Address', 'Pieces')]
        need('the sections %s' % starts, starts == sorted(starts) and starts[0] > 0)
        reads, sources, peers, drawn = (text[a + 1:b] for a, b in zip(starts, starts[1:] + [len(text)]))
        for r in t['readers']:
            row = next((line for line in reads if line.startswith(r['path'][:self.width - 40])), None)
            need('the reader of %s' % r['path'], row)
            need('its place in %r' % row, r['mode'] in row and size(r['offset']) in row)
            need('its owner in %r' % row, self.width < 60 or r['owner'][:17] in row)
            need('its window in %r' % row, self.width < 70 or not r['window'] or '%d/%d' % (r['window_have'], len(r['window'])) in row)
        for w, v in zip((w for r in t['readers'] for w in r['waiting']), (w for r in later['readers'] for w in r['waiting'])):
            said = next((re.search(r'waits since (\d+)s for %s at %s' % (re.escape(size(w['length'])), re.escape(size(w['offset']))), line)
                         for line in reads if 'waits since' in line), None)
            need('the waiting read', said)
            need('since when', w['seconds'] - 3 <= int(said.group(1)) <= v['seconds'] + 1)
            for p in w['pieces']:
                line = 'piece %d: %d of %d blocks here, the rest from %s' % (p['piece'], p['received'], p['blocks'], ', '.join(p['from']))
                need(line, line in re.sub(' +', ' ', ' '.join(reads)))
        need('as many sources', len([s for s in sources if s]) == len(t['sources']))
        for s, row in zip(t['sources'], sources):
            need('the source %s in %r' % (s['name'], row), row.startswith(s['name'][:12]) and s['status'][:25] in row)
            count = lambda n: '-' if n is None else str(n)
            need('its numbers in %r' % row, self.width < 64 or row.split()[-2:] == [count(s['seeds']), count(s['peers'])])
        need('as many peers', len([p for p in peers if p]) == max(1, len(t['connected'])))
        for p in t['connected']:
            row = next((line for line in peers if line.startswith(p['addr'][:16])), None)
            need('the peer %s' % p['addr'], row)
            need('its flags in %r' % row, self.width < 80 or ('seed' in row) == p['seed'] and ('out' in row) == p['outgoing'])
            need('its client in %r' % row, self.width < 70 or p['client'][:19] in row)
        need('the map', ''.join(line[9:] for line in drawn if re.match(' *[0-9]+ ', line)) == ''.join(GLYPHS[c] for c in pieces))
        need('every line fits', max(map(len, whole.split('\n'))) <= self.width)

    def sections(self):
        for key, head in zip('1234', ('Readers', 'Name', 'Address', 'Pieces')):
            keys('g', key)
            until(lambda: need('%s by key %s' % (head, key), any(line.startswith(head) for line in screen()[2:-1])))
        keys('g')


def main():
    control, torrent, *sizes = sys.argv[1:]
    v = View(control, torrent)
    for text in sizes:
        v.resize(*map(int, text.split('x')))
        until(v.listed)
    v.walk()
    v.select()
    keys('Enter')  # the torrent alone
    for text in sizes:
        v.width, v.height = map(int, text.split('x'))
        tmux('resize-window', '-t', 'watch', '-x', str(v.width), '-y', str(v.height))
        until(lambda: need('%d lines' % v.height, len(screen()) == v.height and 'Torrent ' not in '\n'.join(screen()) and 'quit' in screen()[-1]))
        v.sections()
        v.true_details()
    keys('Escape')
    until(lambda: need('the list again', any(line.startswith('Torrent ') for line in screen())))


if __name__ == '__main__':
    main()
