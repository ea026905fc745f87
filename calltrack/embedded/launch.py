"""Starts a program that ends when its parent does, if need be as another user.

    python -I -S launch.py PARENT SIGNAL UID GID PROGRAM [ARGUMENT …]      UID and GID -1: as whoever starts it

Run as a script, in the child, between fork and exec: Python code is not safe there in a process that has threads.
On Linux the kernel sends SIGNAL to the program when the *thread* that started it ends, however that comes about; so
children are started from threads that live as long as they are wanted. Elsewhere a killed parent leaves its children.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
# Now, as another user may not be able to read what it is made of.
libc = ctypes.CDLL(None)


def end_with_parent(death_signal: int) -> None:
    """Have this process get the signal when the thread that started it ends. Does nothing where the kernel cannot."""
    if sys.platform == "linux":
        libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)


def main(parent: str, death_signal: str, uid: str, gid: str, *command: str) -> None:
    if int(uid) >= 0:
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
    # After the change of user, for that clears it.
    end_with_parent(int(death_signal))
    if os.getppid() != int(parent):
        sys.exit("the parent ended before this could start")
    # Python ignores it, and exec would hand that down.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execv(command[0], command)  # noqa: S606 - the point of it


if __name__ == "__main__":
    main(*sys.argv[1:])
