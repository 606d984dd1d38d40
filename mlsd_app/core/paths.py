"""File-system odds and ends that settings need before Django is up."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

MAX_UNIX_SOCKET = 100  # the kernel allows 107 bytes


def short_socket_path(wanted: Path) -> Path:
    """`wanted`, or a stand-in under the temporary folder when the checkout lies too deep for a unix socket."""
    if len(str(wanted).encode()) <= MAX_UNIX_SOCKET:
        return wanted
    return Path(tempfile.gettempdir()) / f"loop45-{hashlib.sha256(str(wanted).encode()).hexdigest()[:16]}.sock"
