"""A two-level cache of what is slow to make: in the process (bounded in bytes, least recently used goes) and on disk.

Disk entries are named by the SHA-256 of their key and written by rename, so a reader never sees half a file. A lock file an entry
lets one process of the host build while the others wait for it.
"""

from __future__ import annotations

import fcntl
import hashlib
import pickle
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from simulators.lab import AssetStore

T = TypeVar("T")
DEFAULT_MEMORY_BYTES = 1 << 30
DEFAULT_DISK_BYTES = 4 << 30


def size_of(value: Any) -> int:
    """Bytes held, as far as they can be seen: arrays, containers, dataclasses, or what `memory_bytes()` says."""
    if isinstance(value, np.ndarray):
        return int(value.nbytes)
    if callable(getattr(value, "memory_bytes", None)):
        return int(value.memory_bytes())
    if isinstance(value, dict):
        return sum(size_of(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return sum(size_of(item) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        return sum(size_of(getattr(value, item.name)) for item in fields(value))
    return sys.getsizeof(value)


class CachedAssets(AssetStore):
    """The store labs run with.

    folder         where disk entries lie; None keeps everything in memory
    memory_bytes   bound of the in-process level; an entry larger than the bound is returned but not kept
    disk_bytes     bound of the folder; the entries read longest ago are deleted
    """

    def __init__(self, folder: Path | None, *, memory_bytes: int = DEFAULT_MEMORY_BYTES, disk_bytes: int = DEFAULT_DISK_BYTES) -> None:
        self._folder, self._memory_bound, self._disk_bound = folder, memory_bytes, disk_bytes
        self._kept: OrderedDict[str, tuple[Any, int]] = OrderedDict()
        self._lock = threading.RLock()

    @property
    def memory_bytes(self) -> int:
        return sum(size for _, size in self._kept.values())

    def get(self, key: str, build: Callable[[], T], *, disk: bool = True) -> T:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return cast(T, self._kept[key][0])
            value = self._from_disk_or_built(key, build) if disk and self._folder else build()
            self._keep(key, value)
            return value

    def _keep(self, key: str, value: Any) -> None:
        size = size_of(value)
        if size > self._memory_bound:
            return
        self._kept[key] = (value, size)
        total = self.memory_bytes
        while total > self._memory_bound:
            _, (_, freed) = self._kept.popitem(last=False)
            total -= freed

    def _from_disk_or_built(self, key: str, build: Callable[[], T]) -> T:
        path = self._path(key)
        with _locked(path.with_suffix(".lock")):
            found = _read(path)
            if found is not None:
                return cast(T, found[0])
            value = build()
            _write(path, value)
        self._trim()
        return value

    def _path(self, key: str) -> Path:
        assert self._folder is not None
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()}.pickle"

    def _trim(self) -> None:
        assert self._folder is not None
        entries = sorted(self._folder.glob("*.pickle"), key=lambda path: path.stat().st_atime)
        total = sum(path.stat().st_size for path in entries)
        for path in entries:
            if total <= self._disk_bound:
                return
            total -= path.stat().st_size
            path.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)


def _read(path: Path) -> tuple[Any] | None:
    """The value in a one-tuple; None when there is none or the entry cannot be read (it is then built anew)."""
    try:
        with path.open("rb") as handle:
            return (pickle.load(handle),)  # noqa: S301 - our own files, in a folder only the site writes
    except (FileNotFoundError, EOFError, pickle.UnpicklingError, AttributeError, ModuleNotFoundError):
        return None


def _write(path: Path, value: Any) -> None:
    part = path.with_suffix(".part")
    with part.open("wb") as handle:
        pickle.dump(value, handle, protocol=5)
    part.rename(path)
