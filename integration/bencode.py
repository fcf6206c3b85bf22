"""Bencoding (BEP 3) for the test tools: ints, bytes, lists, dicts. Strings are encoded as UTF-8."""


def encode(x):
    if isinstance(x, Raw):
        return bytes(x)
    if isinstance(x, int):
        return b'i%de' % x
    if isinstance(x, str):
        x = x.encode()
    if isinstance(x, (bytes, bytearray)):
        return b'%d:%s' % (len(x), bytes(x))
    if isinstance(x, (list, tuple)):
        return b'l' + b''.join(map(encode, x)) + b'e'
    items = sorted((k.encode() if isinstance(k, str) else k, v) for k, v in x.items())
    return b'd' + b''.join(encode(k) + encode(v) for k, v in items) + b'e'


class Raw(bytes):
    """Bytes that are bencoding already, well formed or not."""


def decode(b):
    return decode_prefix(b)[0]


def decode_prefix(b, i=0):
    """Returns the value that begins at b[i] and the offset after it."""
    c = b[i:i + 1]
    if c == b'i':
        e = b.index(b'e', i)
        return int(b[i + 1:e]), e + 1
    if c == b'l':
        r, i = [], i + 1
        while b[i:i + 1] != b'e':
            v, i = decode_prefix(b, i)
            r.append(v)
        return r, i + 1
    if c == b'd':
        r, i = {}, i + 1
        while b[i:i + 1] != b'e':
            k, i = decode_prefix(b, i)
            r[k], i = decode_prefix(b, i)
        return r, i + 1
    e = b.index(b':', i)
    n = int(b[i:e])
    if n < 0 or e + 1 + n > len(b):
        raise ValueError('string beyond the end')
    return b[e + 1:e + 1 + n], e + 1 + n
