"""Ties a process to the life of its parent, so that killing one with SIGKILL leaves nothing running.

As a script it ties itself and becomes another program: `python tether.py redis-server --port 0`. It stands alone, without an import
of the package, because it runs before every process of the site.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(with_signal: signal.Signals = signal.SIGTERM) -> None:
    """Has the kernel send this process `with_signal` when its parent ends. Linux only; elsewhere it does nothing."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(with_signal), 0, 0, 0)
    if os.getppid() != parent:  # it ended just before the request was made
        os.kill(os.getpid(), with_signal)


if __name__ == "__main__":
    die_with_parent()
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - the command comes from the project's Procfile
