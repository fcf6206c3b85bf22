#!/usr/bin/python3
"""folder.py DIR NAME PIECE: writes the torrent of DIR/data/NAME, a folder, with pieces of so many bytes, as make.py does."""
import os, sys
import make


def main():
    root, name, piece = sys.argv[1], sys.argv[2], int(sys.argv[3])
    m = make.Maker(root)
    top = os.path.join(m.data, name)
    paths = sorted(os.path.relpath(os.path.join(d, f), top) for d, _, files in os.walk(top) for f in files)
    m.folder(name, piece, paths)


if __name__ == '__main__':
    main()
