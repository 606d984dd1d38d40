"""The cache of slow things: built once over threads and processes, bounded in bytes, nothing left behind."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulators.assets import CachedAssets, size_of
from simulators.engines.steps import finish
from simulators.lab import Progress, Working


def never() -> Any:
    raise AssertionError("built again")


def slowly(log: Path, steps: int = 5) -> Callable[[], Working[str]]:
    """A build of 50 ms that writes a line into `log`."""

    def build() -> Working[str]:
        with log.open("a") as handle:
            handle.write("built\n")
        for step in range(steps):
            time.sleep(0.01)
            yield Progress(step, steps, "building")
        return "value"

    return build


def test_memory_then_disk_then_build(tmp_path: Path) -> None:
    first = CachedAssets(tmp_path)
    value = first.get("key", lambda: np.arange(5))
    assert first.get("key", never) is value
    second = CachedAssets(tmp_path)
    assert np.array_equal(second.get("key", never), value)


def test_not_on_disk_when_told_so(tmp_path: Path) -> None:
    store = CachedAssets(tmp_path)
    assert store.get("key", lambda: 1, disk=False) == 1
    assert store.get("key", never, disk=False) == 1
    assert CachedAssets(tmp_path).get("key", lambda: 2) == 2


def test_without_a_folder_everything_stays_in_memory() -> None:
    store = CachedAssets(None)
    assert store.get("key", lambda: [1]) is store.get("key", never)


def _worker(folder: Path, log: Path, results: Any) -> None:
    results.put(finish(CachedAssets(folder).steps("key", slowly(log))))


def test_built_once_across_processes(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    workers = [context.Process(target=_worker, args=(tmp_path / "assets", tmp_path / "log", results)) for _ in range(3)]
    for worker in workers:
        worker.start()
    assert [results.get(timeout=60) for _ in workers] == ["value"] * 3
    for worker in workers:
        worker.join()
    assert (tmp_path / "log").read_text() == "built\n"


def test_built_once_across_threads_and_the_waiting_one_says_so(tmp_path: Path) -> None:
    store, said, results = CachedAssets(tmp_path / "assets"), [], []

    def run() -> None:
        steps = store.steps("key", slowly(tmp_path / "log", steps=20))
        while True:
            try:
                said.append(next(steps).label)  # type: ignore[union-attr]
            except StopIteration as stop:
                results.append(stop.value)
                return

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == ["value"] * 4
    assert (tmp_path / "log").read_text() == "built\n"
    assert any("waiting" in label for label in said)


def test_a_build_inside_a_build(tmp_path: Path) -> None:
    store = CachedAssets(tmp_path)
    assert store.get("outer", lambda: store.get("inner", lambda: 1) + 1) == 2


def test_closed_half_way_it_keeps_nothing_and_lets_the_next_one_build(tmp_path: Path) -> None:
    store = CachedAssets(tmp_path / "assets")
    steps = store.steps("key", slowly(tmp_path / "log"))
    next(steps)
    assert list((tmp_path / "assets").glob("*.lock"))
    open_files = len(os.listdir("/proc/self/fd"))
    steps.close()
    assert len(os.listdir("/proc/self/fd")) == open_files - 1
    assert not list((tmp_path / "assets").iterdir())
    assert finish(store.steps("key", slowly(tmp_path / "log"))) == "value"
    assert (tmp_path / "log").read_text() == "built\nbuilt\n"


def test_a_failing_build_leaves_no_lock(tmp_path: Path) -> None:
    store = CachedAssets(tmp_path)
    with pytest.raises(ZeroDivisionError):
        store.get("key", lambda: 1 / 0)
    assert not list(tmp_path.iterdir())
    assert store.get("key", lambda: 1) == 1


@pytest.mark.parametrize("body", [b"", b"not a pickle", b"\x80\x05cno_such_module\nthing\n."])
def test_an_unreadable_entry_is_built_anew(body: bytes, tmp_path: Path) -> None:
    CachedAssets(tmp_path).get("key", lambda: "old")
    next(tmp_path.glob("*.pickle")).write_bytes(body)
    assert CachedAssets(tmp_path).get("key", lambda: "new") == "new"


def test_memory_is_bounded_and_the_least_recently_used_goes() -> None:
    store = CachedAssets(None, memory_bytes=3000)
    for name in "abc":
        store.get(name, lambda: np.zeros(125))  # 1,000 bytes
    store.get("a", never)
    store.get("d", lambda: np.zeros(125))
    assert store.memory_bytes <= 3000
    store.get("a", never)
    with pytest.raises(AssertionError, match="built again"):
        store.get("b", never)


def test_what_exceeds_the_bound_is_returned_and_not_kept() -> None:
    store = CachedAssets(None, memory_bytes=100)
    assert len(store.get("big", lambda: np.zeros(1000))) == 1000
    assert store.memory_bytes == 0


def test_disk_is_bounded_and_what_was_read_longest_ago_goes(tmp_path: Path) -> None:
    store = CachedAssets(tmp_path, memory_bytes=0, disk_bytes=25_000)
    for name in "ab":
        store.get(name, lambda: np.zeros(1250))  # 10,000 bytes
    for path, age in zip(sorted(tmp_path.glob("*.pickle"), key=lambda path: path.stat().st_mtime), (200, 100), strict=True):
        os.utime(path, (time.time() - age,) * 2)
    store.get("a", never)  # read now, so b is the oldest
    store.get("c", lambda: np.zeros(1250))
    assert sum(path.stat().st_size for path in tmp_path.glob("*.pickle")) <= 25_000
    store.get("a", never)
    with pytest.raises(AssertionError, match="built again"):
        store.get("b", never)


def test_sizes_are_seen_through_containers() -> None:
    class Weighed:
        def memory_bytes(self) -> int:
            return 77

    array = np.zeros(10)
    assert size_of({"a": [array, (array,)], "b": Weighed()}) == 160 + 77
    assert size_of(Progress(0, 1, "abc")) > 0
