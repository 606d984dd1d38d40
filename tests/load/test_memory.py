"""A worker that is tweaked at random holds what its asset cache may hold, and does not grow beyond it."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from simulators.assets import CachedAssets
from simulators.driver import Cancelled, drive
from simulators.errors import InvalidInput
from simulators.lab import Context, Lab
from simulators.params import parse_params
from simulators.registry import labs
from tests.contract.parameters import numbers_of
from tests.contract.running import smallest
from tests.live import ROOT

CACHE_BYTES = 64 << 20
WARM_ROUNDS, TWEAKED_S, LONGEST_S = 2, 25.0, 2.0  # a lab's first runs import and compile what it needs, which stays
MAY_GROW_BYTES = 150 << 20  # what the allocator keeps of runs of different size


def tweak(lab: type[Lab], draw: random.Random) -> dict[str, Any]:
    """A third of the numbers anywhere in the lower half of their range, by ratio; the others small."""
    values = smallest(lab)
    for number in numbers_of(lab):
        if draw.random() < 0.3:
            share = draw.random() / 2
            low, high = number.low, number.high
            value = low * (high / low) ** share if low > 0 else low + (high - low) * share
            values[number.name] = int(value) if number.type is int else value
    return values


def tweaked_run(lab: type[Lab], assets: CachedAssets, draw: random.Random) -> None:
    deadline = time.monotonic() + LONGEST_S
    context = Context(seed=draw.randrange(100), assets=assets)
    with suppress(Cancelled, InvalidInput):
        drive(lab(), parse_params(lab, tweak(lab, draw)), context, emit=lambda _: None, cancelled=lambda: time.monotonic() > deadline)


def main(folder: str) -> None:
    assets, draw, process = CachedAssets(Path(folder), memory_bytes=CACHE_BYTES), random.Random(45), psutil.Process()
    for lab in list(labs().values()) * WARM_ROUNDS:
        tweaked_run(lab, assets, draw)
    before, end = process.memory_info().rss, time.monotonic() + TWEAKED_S
    while time.monotonic() < end:
        tweaked_run(draw.choice(list(labs().values())), assets, draw)
    sys.stdout.write(f"{before} {process.memory_info().rss} {assets.memory_bytes}")


@pytest.mark.slow
def test_random_tweaks_do_not_make_a_worker_grow(tmp_path: Path) -> None:
    command = [sys.executable, "-c", f"from tests.load.test_memory import main; main({str(tmp_path)!r})"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    before, after, cached = map(int, told.split())
    assert cached <= CACHE_BYTES
    assert after - before < MAY_GROW_BYTES, f"{before / 2**20:.0f} MB, then {after / 2**20:.0f} MB"
