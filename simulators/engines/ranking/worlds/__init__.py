"""Synthetic worlds whose probabilities are known; each `name_world(seed=0, **knobs)` returns a frozen dataclass."""
