"""A two-level cache of what is slow to make: in the process (bounded in bytes, least recently used goes) and on disk.

Disk entries are named by the SHA-256 of their key and written by rename, so a reader never sees half a file. A lock file an entry
lets one worker of the host build while the others wait for it; it is gone when the entry is there. What lives in memory only is built
once a thread that asks.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pickle
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import IO, Any, TypeVar, cast

import numpy as np

from simulators.lab import AssetStore, Progress, Working

T = TypeVar("T")
DEFAULT_MEMORY_BYTES = 1 << 30
DEFAULT_DISK_BYTES = 4 << 30
WAIT_S = 0.02
WRITE_BYTES = 1 << 22


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
        steps = self.steps(key, lambda: _at_once(build), disk=disk)
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                return cast(T, stop.value)

    def steps(self, key: str, build: Callable[[], Working[T]], *, disk: bool = True) -> Working[T]:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return cast(T, self._kept[key][0])
        value = yield from (self._from_disk_or_built(key, build) if disk and self._folder else build())
        with self._lock:
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

    def _from_disk_or_built(self, key: str, build: Callable[[], Working[T]]) -> Working[T]:
        path = self._path(key)
        found = _read(path)
        if found is None:
            with (yield from _turn(path.with_suffix(".lock"))):
                found = _read(path)
                if found is None:
                    found = ((yield from build()),)
                    yield from _written(path, found[0])
            self._trim()
        return cast(T, found[0])

    def _path(self, key: str) -> Path:
        assert self._folder is not None
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()}.pickle"

    def _trim(self) -> None:
        """Deletes what was read longest ago; a file another process deletes meanwhile counts as gone."""
        assert self._folder is not None
        entries = sorted(filter(None, map(_entry, self._folder.glob("*.pickle"))))
        total = sum(size for _, size, _ in entries)
        for _, size, path in entries:
            if total <= self._disk_bound:
                return
            total -= size
            path.unlink(missing_ok=True)


def _entry(path: Path) -> tuple[float, int, Path] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime, found.st_size, path


def _at_once(build: Callable[[], T]) -> Working[T]:
    yield from ()
    return build()


def _turn(path: Path) -> Working[AbstractContextManager[None]]:
    """Waits, without blocking, until nobody else of this host builds the entry; entering the context, leave it to let the next one in."""
    while (handle := _lock_file(path)) is None:
        time.sleep(WAIT_S)
        yield Progress(0, 1, "waiting for another run that makes the same")
    return _held(handle, path)


def _lock_file(path: Path) -> IO[str] | None:
    """The lock file, open and locked; None while another holds it, or when it was deleted between our opening and locking it."""
    handle = path.open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.stat().st_ino == os.fstat(handle.fileno()).st_ino:
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    handle.close()
    return None


@contextmanager
def _held(handle: IO[str], path: Path) -> Iterator[None]:
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        handle.close()


# What unpickling an entry of an older version of the code, or a half-written one, may raise.
_UNREADABLE = (EOFError, pickle.UnpicklingError, AttributeError, ImportError, TypeError, KeyError, IndexError, ValueError, RuntimeError)


def _read(path: Path) -> tuple[Any] | None:
    """The value in a one-tuple; None when there is none or the entry cannot be read (it is then built anew)."""
    try:
        with path.open("rb") as handle:
            value = pickle.load(handle)  # noqa: S301 - our own files, in a folder only the site writes
        os.utime(path)  # read now: the access time of a file system mounted with relatime does not say so
    except (FileNotFoundError, *_UNREADABLE):
        return None
    return (value,)


def _written(path: Path, value: Any) -> Working[None]:
    """By rename, in blocks: hundreds of megabytes take seconds."""
    part, data = path.with_suffix(".part"), memoryview(pickle.dumps(value, protocol=5))
    try:
        with part.open("wb") as handle:
            for start in range(0, len(data), WRITE_BYTES):
                handle.write(data[start : start + WRITE_BYTES])
                yield Progress(start, len(data), "keeping it for the next run")
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)
