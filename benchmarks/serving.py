"""The serving simulator: CPU time of replays, of a million requests and of a capacity grid, against plain Python and against Vidur.

`python -m benchmarks.serving --vidur PATH` also runs the Vidur checkout at PATH (its own `.venv` if it has one) on the same requests.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._measure import table
from simulators.engines.serving import CostModel, SchedulerConfig, Trace, capacity, load_trace, simulate, synth_trace, warm_up
from simulators.engines.serving.reference import simulate_reference, vidur_step

DATA = Path(os.environ.get("LOOP45_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
CASE = DATA / "serving_cases" / "sarathi512_conv3000"
AZURE = DATA / "serving_traces" / "AzureLLMInferenceTrace_conv.csv"
BLOCKS, LAYERS, LONGEST = 27_904, 48, 4096
CASES = {"sarathi": SchedulerConfig("sarathi", chunk_size=512), "vllm_v0": SchedulerConfig("vllm_v0")}
SLOS = ({"ttft_s": 2.0, "itl_s": itl_s} for itl_s in (0.05, 0.1, 0.2, 0.5))
RACERS = ("vllm_v0", "sarathi", "vllm_v1", "sglang", "orca")

# Runs inside Vidur's interpreter and folder; prints the CPU seconds of the event loop alone.
VIDUR_RUN = """
import time
from vidur.config import SimulationConfig
from vidur.simulator import Simulator
simulator = Simulator(SimulationConfig.create_from_cli_args())
started = time.process_time()
simulator.run()
print("event loop", time.process_time() - started, flush=True)
import os
os._exit(0)  # its plots are not part of the comparison
"""


def replays(cost: CostModel, trace: Trace, vidur: Path | None) -> str:
    rows, step = [], vidur_step(cost.tables)
    for name, scheduler in CASES.items():
        ours = cpu_s(partial(simulate, trace, cost, scheduler, num_blocks=BLOCKS), 15)
        plain = cpu_s(partial(simulate_reference, trace, step, scheduler, num_blocks=BLOCKS), 3)
        theirs = vidur_cpu_s(vidur, name, trace) if vidur else None
        against = f"{theirs:.2f} s, {theirs / ours:.0f}x" if theirs else "not asked for"
        rows.append((name, f"{ours * 1e3:.1f} ms", f"{len(trace) / ours:,.0f}", f"{plain:.2f} s, {plain / ours:.0f}x", against))
    heading = (f"{len(trace):,} requests", "CPU", "Requests a CPU-second", "Plain Python", "Vidur (metrics off)")
    return table(heading, rows)


def vidur_cpu_s(folder: Path, policy: str, trace: Trace) -> float:
    """CPU seconds of Vidur's event loop on the same requests, model, hardware and limits, without its metrics."""
    kind = {"vllm_v0": "vllm", "sarathi": "sarathi"}[policy]
    python = next((path for path in (folder / ".venv" / "bin" / "python",) if path.exists()), Path(sys.executable))
    with tempfile.TemporaryDirectory() as made:
        requests = Path(made) / "trace.csv"
        lines = zip(trace.arrival_s, trace.prompt_tokens, trace.output_tokens, strict=True)
        requests.write_text("arrived_at,num_prefill_tokens,num_decode_tokens\n" + "".join(f"{a!r},{p},{d}\n" for a, p, d in lines))
        flags: dict[str, Any] = {
            "replica_config_model_name": "codellama/CodeLlama-34b-Instruct-hf",
            "replica_config_device": "a100",
            "replica_config_tensor_parallel_size": 2,
            "replica_config_num_pipeline_stages": 1,
            "cluster_config_num_replicas": 1,
            "request_generator_config_type": "trace_replay",
            "trace_request_generator_config_trace_file": requests,
            "trace_request_generator_config_prefill_scale_factor": 1,
            "trace_request_generator_config_decode_scale_factor": 1,
            "trace_request_generator_config_time_scale_factor": 1,
            "trace_request_generator_config_max_tokens": LONGEST,
            "replica_scheduler_config_type": kind,
            f"{kind}_scheduler_config_batch_size_cap": 128,
            f"{kind}_scheduler_config_num_blocks": BLOCKS,
            "metrics_config_output_dir": made,
        }
        words = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
        command = [str(python), "-c", VIDUR_RUN, *words, "--no-metrics_config_write_metrics", "--no-metrics_config_enable_chrome_trace"]
        printed = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
    return float(next(line for line in printed.splitlines() if line.startswith("event loop")).split()[-1])


def million(cost: CostModel) -> str:
    """Lengths of the Azure conversation trace where it is at hand, drawn with replacement, arrivals Poisson."""
    rng, n = np.random.default_rng(0), 1_000_000
    source = load_trace(AZURE, max_total_tokens=LONGEST) if AZURE.exists() else conversation(20_000)
    rows = rng.integers(0, len(source), n)
    trace = Trace(np.cumsum(rng.exponential(1 / 2.3, n)), source.prompt_tokens[rows], source.output_tokens[rows])
    started = time.process_time()
    result = simulate(trace, cost, CASES["sarathi"], num_blocks=BLOCKS)
    spent = time.process_time() - started
    return table(("Requests", "Iterations", "CPU"), [(f"{n:,}", f"{result.iterations:,}", f"{spent:.2f} s")])


def grid() -> str:
    """Capacity of five policies at four limits on the gap between tokens, nine halvings each, 4,000 requests a replay."""
    cost, trace = CostModel.roofline("Llama-3.1-8B", "H100"), conversation(4000)
    started, rows = time.process_time(), []
    for slo in SLOS:
        found = [capacity(trace, cost, SchedulerConfig(policy), slo=slo, rates=(0.5, 100)) for policy in RACERS]
        rows.append((f"{slo['itl_s'] * 1e3:.0f} ms", *(f"{rate:.1f}" for rate in found)))
    spent = time.process_time() - started
    return table(("Requests/s within ITL p99", *RACERS), rows) + f"\n\nThe whole grid took {spent:.1f} CPU-s."


def conversation(n: int) -> Trace:
    trace = synth_trace("conversation", n, 2.35, 0)
    prompt = np.minimum(trace.prompt_tokens, LONGEST - trace.output_tokens)
    return Trace(trace.arrival_s, prompt, trace.output_tokens)


def cost_model() -> tuple[CostModel, Trace]:
    """The conformance case where it is at hand, otherwise tables and requests of the same size made up here."""
    if CASE.exists():
        return CostModel.from_vidur(CASE / "tables.npz", LAYERS), load_trace(CASE / "trace.csv")
    with tempfile.TemporaryDirectory() as made:
        np.savez(Path(made) / "tables.npz", **smooth_tables())
        return CostModel.from_vidur(Path(made) / "tables.npz", LAYERS), conversation(3000)


def smooth_tables() -> dict[str, Any]:
    """Tables of about the size of a 34B model on two A100."""
    tokens, kv = np.arange(LONGEST + 1), np.arange(65)
    flat = ("attn_pre_proj", "attn_post_proj", "mlp_up_proj", "mlp_down_proj")
    light = ("attn_rope", "attn_kv_cache_save", "mlp_act", "input_layernorm", "post_attention_layernorm", "add", "all_reduce")
    tables: dict[str, Any] = {name: np.maximum(0.12, tokens * 5e-4) for name in flat}
    tables |= dict.fromkeys(light, 0.01 + tokens * 1e-05)
    tables["attn_decode__bs_x_kv64"] = 0.01 + np.outer(np.arange(129), kv) * 2e-5
    tables["attn_prefill__kv64_x_chunk"] = 0.01 + (kv[:, None] * 64 + tokens / 2) * tokens * 1e-7
    return tables


def cpu_s(work: Callable[[], object], runs: int) -> float:
    times = []
    for _ in range(runs):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return sorted(times)[runs // 2]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--vidur", type=Path, help="folder of a Vidur checkout to run beside")
    vidur = parser.parse_args().vidur
    warm_up()
    cost, trace = cost_model()
    print(replays(cost, trace, vidur), end="\n\n")
    print(million(cost), end="\n\n")
    print(grid())


if __name__ == "__main__":
    main()
