"""Point-in-time join of 100,000 labels with 1,000,000 feature rows of 5 features: ours against pandas and Feast, in one run on one core.

Run: OMP_NUM_THREADS=1 python -m benchmarks.features [--feast PYTHON]
Feast is no dependency of ours; PYTHON is an interpreter that has it (`benchmarks/_feast_join.py` says how to make one). Every route starts
from the same two Parquet files; "in memory" leaves the reading out. Feast also resolves its registry and maps types.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks._measure import table
from simulators.engines.features.pit import PointInTimeIndex, warm_up

ROWS, LABELS, ENTITIES, DAYS, TTL_S = 1_000_000, 100_000, 50_000, 30, 14 * 86_400
FEATURES = [f"f{i}" for i in range(5)]
REPEATS = 5


def write(folder: Path) -> None:
    draws = np.random.default_rng(45)
    start = np.datetime64("2026-01-01", "us")

    def moments(n: int) -> NDArray[np.datetime64]:
        return start + draws.integers(0, DAYS * 86_400_000_000, n).astype("timedelta64[us]")

    event = moments(ROWS)
    features = pd.DataFrame(draws.normal(size=(ROWS, 5)), columns=FEATURES)
    features["user_id"], features["event_timestamp"] = draws.integers(0, ENTITIES, ROWS), pd.to_datetime(event, utc=True)
    features["created"] = features["event_timestamp"] + pd.to_timedelta(draws.exponential(3600, ROWS).astype(int), unit="s")
    labels = pd.DataFrame({"user_id": draws.integers(0, ENTITIES, LABELS), "event_timestamp": pd.to_datetime(moments(LABELS), utc=True)})
    features.to_parquet(folder / "features.parquet")
    labels.to_parquet(folder / "labels.parquet")


def columns(path: Path) -> dict[str, NDArray[np.generic]]:
    found = pq.read_table(path, memory_map=True, use_threads=False)
    return {name: found[name].to_numpy() for name in found.column_names}


def index_of(features: dict[str, NDArray[np.generic]]) -> PointInTimeIndex:
    values = np.column_stack([features[name] for name in FEATURES])
    return PointInTimeIndex(features["user_id"], features["event_timestamp"], values, features["created"])


def ours_from_files(folder: Path) -> NDArray[np.float64]:
    features, labels = columns(folder / "features.parquet"), columns(folder / "labels.parquet")
    return index_of(features).join(labels["user_id"], labels["event_timestamp"], ttl_s=TTL_S).values


def pandas_from_files(folder: Path) -> NDArray[np.float64]:
    return pandas_join(pd.read_parquet(folder / "features.parquet"), pd.read_parquet(folder / "labels.parquet"))


def pandas_join(features: pd.DataFrame, labels: pd.DataFrame) -> NDArray[np.float64]:
    ordered = features.sort_values(["event_timestamp", "created"])
    asked = labels.assign(order=np.arange(len(labels))).sort_values("event_timestamp")
    joined = pd.merge_asof(asked, ordered, on="event_timestamp", by="user_id", tolerance=pd.Timedelta(seconds=TTL_S))
    return joined.sort_values("order")[FEATURES].to_numpy()


def best_s(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return min(taken)


def feast_s(python: str, folder: Path, engine: str) -> tuple[float, int]:
    """Best seconds and rows returned."""
    script = Path(__file__).resolve().with_name("_feast_join.py")
    environment = {**os.environ, "FEAST_USAGE": "False"}
    done = subprocess.run(
        [python, str(script), str(folder), engine, "3"], capture_output=True, text=True, check=True, env=environment, cwd=folder
    )
    found = json.loads(done.stdout.splitlines()[-1])
    return min(found["seconds"]), found["rows"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--feast", metavar="PYTHON", default=os.environ.get("FEAST_PYTHON"))
    python = parser.parse_args().feast
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # one core for everyone, the peers' threads included
    warm_up()
    with tempfile.TemporaryDirectory(prefix="loop45-bench-") as name:
        folder = Path(name)
        write(folder)
        np.testing.assert_array_equal(ours_from_files(folder), pandas_from_files(folder))
        files, memory = report(folder)
        peers = [] if python is None else [(engine, *feast_s(python, folder, engine)) for engine in ("duckdb", "dask")]
    rows = [["ours, from Parquet", f"{files:.2f}", "1", LABELS], *memory]
    rows += [[f"Feast 0.67, {engine}", f"{seconds:.2f}", f"{seconds / files:.1f}", got] for engine, seconds, got in peers]
    print(table(["route", "seconds", "times ours from Parquet", "rows returned"], rows))
    if python is None:
        print("\nFeast was not measured: name an interpreter that has it with --feast.")


def report(folder: Path) -> tuple[float, list[list[object]]]:
    features, labels = columns(folder / "features.parquet"), columns(folder / "labels.parquet")
    index, frames = index_of(features), [pd.read_parquet(folder / f"{name}.parquet") for name in ("features", "labels")]
    files = best_s(lambda: ours_from_files(folder))
    warm = best_s(lambda: index.join(labels["user_id"], labels["event_timestamp"], ttl_s=TTL_S))
    known = best_s(lambda: index.join(labels["user_id"], labels["event_timestamp"], ttl_s=TTL_S, known_at=True))
    others = {
        "ours, index in memory": warm,
        "ours, index in memory, as known at": known,
        "pandas merge_asof, from Parquet": best_s(lambda: pandas_from_files(folder)),
        "pandas merge_asof, in memory": best_s(lambda: pandas_join(*frames)),
    }
    return files, [[name, f"{seconds:.3f}", f"{seconds / files:.2f}", LABELS] for name, seconds in others.items()]


if __name__ == "__main__":
    main()
