"""A key-value store in this process that answers as redis-py does: the floor of what a read can cost, and the store where no server is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any


class InProcessClient:
    """The commands of `online.OnlineStore`, answered in bytes from a dictionary. Times to live are taken and not kept."""

    def __init__(self) -> None:
        self._strings: dict[str, bytes] = {}
        self._hashes: dict[str, dict[bytes, bytes]] = {}

    def get(self, key: str) -> bytes | None:
        return self._strings.get(key)

    def mget(self, keys: Sequence[str]) -> list[bytes | None]:
        return [self._strings.get(key) for key in keys]

    def set(self, key: str, value: bytes, ex: int | None = None) -> bool:
        self._strings[key] = value
        return True

    def hset(self, key: str, *, mapping: Mapping[bytes, bytes]) -> int:
        row = self._hashes.setdefault(key, {})
        before = len(row)
        row.update(mapping)
        return len(row) - before

    def hmget(self, key: str, fields: Sequence[bytes]) -> list[bytes | None]:
        row = self._hashes.get(key, {})
        return [row.get(field) for field in fields]

    def expire(self, key: str, seconds: int) -> bool:
        return key in self._strings or key in self._hashes

    def pipeline(self, transaction: bool = True) -> InProcessPipeline:
        return InProcessPipeline(self)

    @property
    def keys(self) -> int:
        return len(self._strings) + len(self._hashes)

    def stored_bytes(self) -> int:
        """Keys, field names and values; what a server spends on each of them is its own affair."""
        strings = sum(len(key) + len(value) for key, value in self._strings.items())
        hashes = sum(len(key) + sum(len(field) + len(value) for field, value in row.items()) for key, row in self._hashes.items())
        return strings + hashes


class InProcessPipeline:
    """Commands that wait for `execute`."""

    def __init__(self, client: InProcessClient) -> None:
        self._client = client
        self._queued: list[Callable[[], Any]] = []

    def __getattr__(self, command: str) -> Callable[..., InProcessPipeline]:
        answer = getattr(self._client, command)

        def queue(*args: Any, **kwargs: Any) -> InProcessPipeline:
            self._queued.append(partial(answer, *args, **kwargs))
            return self

        return queue

    def execute(self) -> list[Any]:
        queued, self._queued = self._queued, []
        return [answer() for answer in queued]
