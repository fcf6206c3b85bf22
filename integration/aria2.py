#!/usr/bin/python3
"""aria2.py X.torrent DIR: the aria2c that runs in this network namespace fetches it into DIR, or seeds what is there."""
import base64, json, sys, time, urllib.request


with open(sys.argv[1], 'rb') as f:
    torrent = base64.b64encode(f.read()).decode()
call = {'jsonrpc': '2.0', 'id': '1', 'method': 'aria2.addTorrent', 'params': [torrent, [], {'dir': sys.argv[2]}]}
for left in range(100, -1, -1):
    try:
        with urllib.request.urlopen('http://127.0.0.1:6800/jsonrpc', json.dumps(call).encode(), timeout=5) as r:
            sys.exit('error' in json.load(r))
    except OSError:
        if not left:
            raise
        time.sleep(0.05)
