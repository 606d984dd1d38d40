"""LLM serving: an iteration-level simulator of continuous batching, its cost models, traces, and capacity search.

Read in this order: `state` (the vocabulary), `kernel_loop`, one policy (`kernel_vidur`, `kernel_v1`), `kernel_batch`, `cost_table`.
"""

from simulators.engines.serving.capacity import capacity
from simulators.engines.serving.cost import CostModel
from simulators.engines.serving.day import DayResult, simulate_day
from simulators.engines.serving.fit import FitReport, fit_cost
from simulators.engines.serving.hit_curve import hit_curve
from simulators.engines.serving.result import SimResult
from simulators.engines.serving.scheduler import SchedulerConfig
from simulators.engines.serving.simulate import simulate, simulate_steps, warm_up
from simulators.engines.serving.synth import synth_trace
from simulators.engines.serving.tokens import expected_tokens
from simulators.engines.serving.trace import Trace
from simulators.engines.serving.trace_files import load_trace

__all__ = [
    "CostModel",
    "DayResult",
    "FitReport",
    "SchedulerConfig",
    "SimResult",
    "Trace",
    "capacity",
    "expected_tokens",
    "fit_cost",
    "hit_curve",
    "load_trace",
    "simulate",
    "simulate_day",
    "simulate_steps",
    "synth_trace",
    "warm_up",
]
