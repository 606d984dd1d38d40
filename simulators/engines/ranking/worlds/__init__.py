"""Synthetic worlds whose probabilities are known; each `name_world(seed=0, **knobs)` returns a frozen dataclass."""

from simulators.engines.ranking.worlds.task import TaskWorld, task_world

__all__ = [
    "TaskWorld",
    "task_world",
]
