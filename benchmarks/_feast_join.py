"""The peer of `benchmarks.features`: Feast's own point-in-time join over the same files. Runs in an interpreter that has Feast.

    PYTHON -m venv feast && feast/bin/pip install "feast[duckdb]==0.67.0"
    feast/bin/python benchmarks/_feast_join.py FOLDER duckdb|dask REPEATS

Prints one JSON line: seconds of each repeat and how many rows came back.
"""

import json
import sys
import time
import warnings
from datetime import timedelta
from pathlib import Path

warnings.filterwarnings("ignore")

import pandas as pd  # noqa: E402
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType  # noqa: E402
from feast.types import Float64  # noqa: E402


def opened(folder: Path, engine: str) -> FeatureStore:
    config = RepoConfig(
        project="bench",
        provider="local",
        registry=str(folder / f"registry-{engine}.db"),
        offline_store={"type": engine},
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64)
    source = FileSource(path=str(folder / "features.parquet"), timestamp_field="event_timestamp", created_timestamp_column="created")
    view = FeatureView(
        name="stats", entities=[user], ttl=timedelta(days=14), schema=[Field(name=f"f{i}", dtype=Float64) for i in range(5)], source=source
    )
    store.apply([user, view])
    return store


def main(folder: Path, engine: str, repeats: int) -> None:
    store, labels = opened(folder, engine), pd.read_parquet(folder / "labels.parquet")
    seconds, rows = [], 0
    for _ in range(repeats):
        start = time.perf_counter()
        joined = store.get_historical_features(entity_df=labels, features=[f"stats:f{i}" for i in range(5)]).to_df()
        seconds.append(time.perf_counter() - start)
        rows = len(joined)
    print(json.dumps({"seconds": seconds, "rows": rows}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
