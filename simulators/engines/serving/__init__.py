"""LLM serving: an iteration-level simulator of continuous batching, its cost models, traces, and capacity search.

Read in this order: `state` (the vocabulary), `kernel_loop`, one policy (`kernel_vidur`, `kernel_v1`), `kernel_batch`, `cost_table`.
"""

from simulators.engines.serving.result import SimResult
from simulators.engines.serving.scheduler import SchedulerConfig
from simulators.engines.serving.simulate import simulate, simulate_steps
from simulators.engines.serving.trace import Trace

__all__ = ["SchedulerConfig", "SimResult", "Trace", "simulate", "simulate_steps"]
