#!/usr/bin/python3
"""disk.py: faults of a disk, for checks/trouble.sh.

  disk.py forget DIR     the kernel forgets what it keeps in memory of the files below DIR
  disk.py shutdown DIR   every further call on the file system of DIR (ext4, xfs) fails with EIO
"""
import fcntl, os, struct, sys

FS_IOC_SHUTDOWN, NO_LOG_FLUSH = 0x8004587d, 2


def forget(top):
    for folder, _, names in os.walk(top):
        for name in names:
            fd = os.open(os.path.join(folder, name), os.O_RDONLY)
            try:
                os.fdatasync(fd)
            except OSError:
                pass  # the writing failed; then the pages count as written
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)


def shutdown(top):
    fd = os.open(top, os.O_RDONLY)
    fcntl.ioctl(fd, FS_IOC_SHUTDOWN, struct.pack('I', NO_LOG_FLUSH))
    os.close(fd)


if __name__ == '__main__':
    {'forget': forget, 'shutdown': shutdown}[sys.argv[1]](sys.argv[2])
