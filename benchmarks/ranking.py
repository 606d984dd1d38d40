"""Click models: rows a CPU second and AUC of DCN-V2 against DeepCTR-Torch in one run, the table against Adam, scoring 1,000 candidates.

Run: OMP_NUM_THREADS=1 python -m benchmarks.ranking [--peer PYTHON] [--rows N]
The peer is no dependency of ours; PYTHON is an interpreter that has it (`benchmarks/_deepctr_fit.py` says how to make one). Both learn
the same rows, 20 fields of 100,000 buckets by 16 and 13 numbers, two full cross layers and a net of 64 and 32, for one pass.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks._measure import percentile_ms, table
from simulators.engines.ranking.data import CtrData
from simulators.engines.ranking.metrics import auc
from simulators.engines.ranking.models import FusedTable, fit_ctr, iter_ctr, warm_up
from simulators.engines.ranking.worlds import CtrWorld, ctr_world
from simulators.engines.steps import finish

DIM, BUCKETS, HIDDEN, BATCHES = 16, 100_000, (64, 32), (4096, 1024)
ITEMS, WIDTH, TABLE_BATCH = 1_000_000, 32, 1024
CANDIDATES, SCORINGS = 1000, 200


def world(rows: int) -> CtrWorld:
    """The wide world in tables of 100,000 buckets, as a hashed log has them."""
    made = ctr_world(45, rows=rows, test_rows=30_000, truth="wide", base_logit=-2.5)

    def bucketed(data: CtrData) -> CtrData:
        return replace(data, fields=data.fields % BUCKETS, cards=(BUCKETS,) * len(data.cards))

    return CtrWorld(bucketed(made.train), bucketed(made.test))


def save(folder: Path, log: CtrWorld) -> Path:
    path = folder / "log.npz"
    arrays = {"fields": log.train.fields, "dense": log.train.dense, "y": log.train.y}
    np.savez(
        path, **arrays, test_fields=log.test.fields, test_dense=log.test.dense, cards=log.train.cards, dim=DIM, hidden=np.array(HIDDEN)
    )
    return path


def ours(log: CtrWorld, batch: int) -> tuple[float, float]:
    """CPU seconds of the pass, the making of the table left out as the peer's is, and AUC."""
    steps = iter_ctr(log.train, "dcnv2", dim=DIM, cross_rank=None, hidden=HIDDEN, batch=batch, seed=1)
    start = time.process_time()
    for step in steps:
        if step.label.startswith("first values") and step.done == step.total:
            break
    made_s = time.process_time() - start
    model = finish(steps)
    return model.cpu_seconds - made_s, auc(log.test.y, model.predict(log.test))


def peers(python: str, path: Path, log: CtrWorld, batch: int) -> tuple[float, float]:
    script = Path(__file__).resolve().with_name("_deepctr_fit.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([python, str(script), str(path), str(batch)], capture_output=True, text=True, check=True, env=environment)
    cpu_s = float(json.loads(done.stdout.splitlines()[-1])["cpu_s"])
    return cpu_s, auc(log.test.y, np.load(path.with_name("predicted.npy")).astype(np.float64))


def training(python: str | None, rows: int) -> str:
    log, lines = world(rows), []
    oracle = auc(log.test.y, log.test.p) if log.test.p is not None else float("nan")
    with tempfile.TemporaryDirectory(prefix="loop45-bench-") as folder:
        path = save(Path(folder), log)
        for batch in BATCHES:
            mine = ours(log, batch)
            found = {"ours": mine} | ({"DeepCTR-Torch 0.3.0": peers(python, path, log, batch)} if python else {})
            lines += [
                [name, batch, f"{cpu_s:.2f}", f"{rows / cpu_s:,.0f}", f"{cpu_s / mine[0]:.1f}", f"{area:.4f}"]
                for name, (cpu_s, area) in found.items()
            ]
    trees = fit_ctr(log.train, "lightgbm", seed=1)
    area = auc(log.test.y, trees.predict(log.test))
    lines.append(["LightGBM 4.7.0, encoded", "", f"{trees.cpu_seconds:.2f}", f"{rows / trees.cpu_seconds:,.0f}", "", f"{area:.4f}"])
    heading = ["DCN-V2, one pass", "batch", "CPU s", "rows a CPU second", "times ours", f"AUC (oracle {oracle:.4f})"]
    return table(heading, lines) + ("" if python else "\n\nThe peer was not measured: name an interpreter that has it with --peer.")


# --- the table alone -------------------------------------------------------------------------------------------------


def rows_per_s(step: Callable[[torch.Tensor], None], steps: int) -> float:
    generator = torch.Generator().manual_seed(1)
    batches = [torch.randint(0, ITEMS, (TABLE_BATCH, 1), generator=generator) for _ in range(steps + 1)]
    step(batches[0])
    start = time.process_time()
    for ids in batches[1:]:
        step(ids)
    return TABLE_BATCH * steps / (time.process_time() - start)


def fused() -> Callable[[torch.Tensor], None]:
    rows = FusedTable(ITEMS, WIDTH)

    def step(ids: torch.Tensor) -> None:
        vectors = rows.lookup(ids).requires_grad_()
        vectors.square().mean().backward()
        rows.apply(ids, vectors.grad)

    return step


def torchs(sparse: bool) -> Callable[[torch.Tensor], None]:
    rows = torch.nn.Embedding(ITEMS, WIDTH, sparse=sparse)
    parameters = list(rows.parameters())
    optimiser = torch.optim.SparseAdam(parameters) if sparse else torch.optim.Adam(parameters, fused=True)

    def step(ids: torch.Tensor) -> None:
        optimiser.zero_grad()
        rows(ids).square().mean().backward()
        optimiser.step()

    return step


def tables() -> str:
    found = {
        "fused table, row-wise Adagrad": rows_per_s(fused(), 200),
        "nn.Embedding, SparseAdam": rows_per_s(torchs(sparse=True), 50),
        "nn.Embedding, Adam (fused)": rows_per_s(torchs(sparse=False), 5),
    }
    dense = found["nn.Embedding, Adam (fused)"]
    lines = [[name, f"{rate:,.0f}", f"{rate / dense:.1f}"] for name, rate in found.items()]
    return table([f"{ITEMS:,} x {WIDTH}, batch {TABLE_BATCH}", "rows a CPU second", "times dense Adam"], lines)


# --- scoring ---------------------------------------------------------------------------------------------------------


def scoring() -> str:
    log = ctr_world(45, rows=20_000, test_rows=CANDIDATES)
    kinds = {
        "DLRM": {"kind": "dlrm"},
        "DLRM, attention over history": {"kind": "dlrm", "history": "din"},
        "DCN-V2, rank 32, width 16": {"kind": "dcnv2", "cross_rank": 32, "dim": 16},
    }
    lines = []
    for name, options in kinds.items():
        model = fit_ctr(log.train, **options)  # type: ignore[arg-type]
        wall, cpu = [], []
        for _ in range(SCORINGS):
            started, worked = time.perf_counter(), time.process_time()
            model.predict(log.test)
            wall.append(time.perf_counter() - started)
            cpu.append(time.process_time() - worked)
        lines.append([name, *(f"{percentile_ms(taken, q):.2f}" for taken, q in ((cpu, 50), (wall, 50), (wall, 99)))])
    return table([f"scoring {CANDIDATES:,} candidates", "CPU p50 (ms)", "wall p50 (ms)", "wall p99 (ms)"], lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", metavar="PYTHON", default=os.environ.get("DEEPCTR_PYTHON"))
    parser.add_argument("--rows", type=int, default=100_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warm_up()
    print("\n\n".join([training(options.peer, options.rows), tables(), scoring()]))


if __name__ == "__main__":
    main()
