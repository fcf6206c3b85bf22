#!/usr/bin/python3
"""libtorrent sessions in one process: the nodes of the DHT, seeds and leechers. Run with Debian's python3-libtorrent.

  peers.py serve SOCKET           answers requests, one JSON line each, until it is killed
  peers.py ask SOCKET JSON        sends one request and prints the answer; exit status 1 for {"error":…}

Requests:
  {"op":"session","id":"s","listen":"198.18.2.1:6881","dht":true,"lsd":false,"bootstrap":"host:port,…","settings":{…}}
  {"op":"close","id":"s"}
  {"op":"mirror","listen":"198.18.6.1:6880"}             a bootstrap node that knows nobody
                  A session picks its node ID anew when it first hears its address. What is told of other nodes only after
                  that has no dead IDs in its tables: with those, transmission needs minutes for its first announce.
  {"op":"nodes","id":"s","nodes":[["host",port],…]}      tells its DHT about these
  {"op":"seed","id":"s","torrent":"x.torrent","save":"dir"}
  {"op":"leech","id":"s","magnet":"magnet:?…","save":"dir","peer":["host",port]}     peer may be left out
                  Both take "pex":false as well.
  {"op":"wait","id":"s","hash":"hex","timeout":30}        until the leecher is complete
  {"op":"done","id":"s","hash":"hex"}                     bytes that a leecher has
  {"op":"connect","id":"s","hash":"hex","peer":["host",port]}
  {"op":"peers","id":"s","hash":"hex"}                    connected peers as host:port, each with those who told of it
  {"op":"remove","id":"s","hash":"hex"}
  {"op":"announce","id":"s"}                              announces all its torrents in the DHT
  {"op":"table","id":"s"}                                 number of nodes in its routing table
  {"op":"put","id":"s","value":"text"}                    stores an item in the DHT (BEP 44); its target, and how many nodes took it
  {"op":"put","id":"s","value":"text","key":"hex","private":"hex","salt":""}    the same with a mutable one
  {"op":"get","id":"s","target":"hex"}                    such an item; of a mutable one give key and salt
  {"op":"sample","id":"s","node":["host",port]}           info-hashes that a node tells of (BEP 51)
"""
import json, os, socket, sys, threading, time, warnings
import bencode, krpc


def tell_addresses(listen):
    """Answers every DHT query with nothing but the asker's own address (BEP 42), for ever."""
    host, port = krpc.addr_of(listen)
    sock = socket.socket(krpc.family(host), socket.SOCK_DGRAM)
    sock.bind((host, port))
    while True:
        b, addr = sock.recvfrom(4096)
        try:
            q = bencode.decode(b)
            sock.sendto(bencode.encode({'t': q[b't'], 'y': 'r', 'ip': krpc.compact(*addr[:2]),
                                        'r': {'id': bytes(20)}}), addr)
        except (KeyError, ValueError):
            pass


class Farm:
    def __init__(self):
        import libtorrent
        self.lt, self.sessions, self.handles = libtorrent, {}, {}

    def session(self, r):
        self.sessions[r['id']] = self.lt.session({
            'listen_interfaces': r['listen'], 'enable_dht': r.get('dht', True), 'enable_lsd': r.get('lsd', False),
            'dht_bootstrap_nodes': r.get('bootstrap', ''), 'enable_upnp': False, 'enable_natpmp': False,
            # A node shuts out, for 5 minutes, whoever sends it 5 packets a second for a while. In this small DHT everybody
            # asks everybody, and the checks follow one another fast.
            'dht_block_ratelimit': 1000000, 'dht_upload_rate_limit': 1000000, 'alert_mask': 0, 'aio_threads': 1, 'hashing_threads': 1,
            'unchoke_slots_limit': -1, 'allow_multiple_connections_per_ip': True, **r.get('settings', {}),
        })

    def close(self, r):
        for key in [k for k in self.handles if k[0] == r['id']]:
            del self.handles[key]
        del self.sessions[r['id']]  # returns when it has ended

    def mirror(self, r):
        threading.Thread(target=tell_addresses, args=(r['listen'],), daemon=True).start()

    def nodes(self, r):
        for host, port in r['nodes']:
            self.sessions[r['id']].add_dht_node((host, port))

    def _add(self, r, flags):
        if 'magnet' in r:
            p = self.lt.parse_magnet_uri(r['magnet'])
            hashes = p.info_hashes
        else:
            p = self.lt.add_torrent_params()
            p.ti = self.lt.torrent_info(r['torrent'])
            hashes = p.ti.info_hashes()
        key = str(hashes.v1 if hashes.has_v1() else hashes.v2)
        p.save_path = r['save']
        p.flags = flags if r.get('pex', True) else flags | self.lt.torrent_flags.disable_pex
        self.handles[r['id'], key] = h = self.sessions[r['id']].add_torrent(p)
        return h

    def seed(self, r):
        h = self._add(r, self.lt.torrent_flags.seed_mode | self.lt.torrent_flags.upload_mode)
        h.force_dht_announce()

    def leech(self, r):
        h = self._add(r, self.lt.torrent_flags.default_flags & ~self.lt.torrent_flags.auto_managed
                      & ~self.lt.torrent_flags.paused)
        if 'peer' in r:
            h.connect_peer(tuple(r['peer']))

    def wait(self, r):
        h = self.handles[r['id'], r['hash']]
        end = time.monotonic() + r['timeout']
        while not h.status().is_seeding:
            if time.monotonic() > end:
                s = h.status()
                raise TimeoutError('%.0f %% after %s s, %d peers' % (s.progress * 100, r['timeout'], s.num_peers))
            time.sleep(0.05)

    def done(self, r):
        return {'bytes': self.handles[r['id'], r['hash']].status().total_done}

    def connect(self, r):
        self.handles[r['id'], r['hash']].connect_peer(tuple(r['peer']))

    def peers(self, r):
        p = self.lt.peer_info
        names = {p.tracker: 'tracker', p.dht: 'DHT', p.pex: 'PEX', p.lsd: 'LPD', 1 << 5: 'incoming'}
        return {'peers': {'%s:%d' % i.ip: [name for bit, name in names.items() if i.source & bit]
                          for i in self.handles[r['id'], r['hash']].get_peer_info()}}

    def remove(self, r):
        self.sessions[r['id']].remove_torrent(self.handles.pop((r['id'], r['hash'])))

    def announce(self, r):
        for (i, _), h in self.handles.items():
            if i == r['id']:
                h.force_dht_announce()

    def table(self, r):
        return {'nodes': self.sessions[r['id']].status().dht_nodes}

    def _alert(self, r, kind, do):
        """Does something and returns the alert of this kind that it leads to."""
        s = self.sessions[r['id']]
        s.pop_alerts()
        do(s)
        end = time.monotonic() + r.get('timeout', 20)
        while time.monotonic() < end:
            s.wait_for_alert(200)
            for a in s.pop_alerts():
                if isinstance(a, kind):
                    return a
        raise TimeoutError('no ' + kind.__name__)

    def put(self, r):
        if 'key' in r:
            key, private = bytes.fromhex(r['key']), bytes.fromhex(r['private'])
            a = self._alert(r, self.lt.dht_put_alert,
                            lambda s: s.dht_put_mutable_item(private, key, r['value'], r.get('salt', '')))
        else:
            a = self._alert(r, self.lt.dht_put_alert, lambda s: s.dht_put_immutable_item(r['value']))
        return {'target': str(a.target), 'nodes': a.num_success, 'seq': a.seq}

    def get(self, r):
        if 'key' in r:
            a = self._alert(r, self.lt.dht_mutable_item_alert,
                            lambda s: s.dht_get_mutable_item(bytes.fromhex(r['key']), r.get('salt', '')))
            return {'value': self._text(a.item), 'seq': a.seq}
        target = self.lt.sha1_hash(bytes.fromhex(r['target']))
        return {'value': self._text(self._alert(r, self.lt.dht_immutable_item_alert, lambda s: s.dht_get_immutable_item(target)).item)}

    @staticmethod
    def _text(item):
        v = item.get('value') if isinstance(item, dict) else item
        return v.decode() if isinstance(v, bytes) else v

    def sample(self, r):
        a = self._alert(r, self.lt.dht_sample_infohashes_alert,
                        lambda s: s.dht_sample_infohashes(tuple(r['node']), self.lt.sha1_hash(os.urandom(20))))
        return {'samples': [str(h) for h in a.samples], 'all': a.num_infohashes, 'nodes': a.num_nodes}

    def answer(self, line):
        try:
            r = json.loads(line)
            if r['op'] not in ('session', 'mirror', 'nodes', 'seed', 'leech', 'wait', 'done', 'connect', 'peers', 'remove', 'announce',
                               'table', 'put', 'get', 'sample', 'close'):
                raise ValueError('op %r' % r['op'])
            return dict(getattr(self, r['op'])(r) or {}, ok=True)
        except Exception as e:
            return {'error': '%s: %s' % (type(e).__name__, e)}


def serve(path):
    warnings.simplefilter('ignore')
    farm = Farm()
    srv = socket.socket(socket.AF_UNIX)
    srv.bind(path)
    srv.listen(16)

    def client(c):
        with c, c.makefile('rw') as f:
            for line in f:
                f.write(json.dumps(farm.answer(line)) + '\n')
                f.flush()

    while True:
        c, _ = srv.accept()
        threading.Thread(target=client, args=(c,), daemon=True).start()


def ask(path, request):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        with s.makefile('rw') as f:
            f.write(request + '\n')
            f.flush()
            answer = json.loads(f.readline() or '{"error":"no answer"}')
    print(json.dumps(answer))
    return 1 if 'error' in answer else 0


if __name__ == '__main__':
    sys.exit(serve(sys.argv[2]) if sys.argv[1] == 'serve' else ask(*sys.argv[2:]))
