"""The user's own log of shown actions: the check before anything is stored."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from simulators.engines.experiment.tabular import open_table
from simulators.engines.ranking.arguments import Floats
from simulators.engines.ranking.data.bandit import BanditLog, iter_read_bandit_log, read_bandit_log
from simulators.engines.ranking.ope import Diagnosis, diagnose
from simulators.engines.steps import relay
from simulators.errors import InvalidInput
from simulators.lab import Data, DataFile, DataInfo, DataOption, DataSlot, DataSpec, Progress, Working

LEAST_ROWS, LEAST_ACTIONS = 100, 2
FAR_FROM_ONE, FEW = 0.2, 0.05  # mean weight further from 1, or a smaller effective sample: not usable


def read_steps(data: Data) -> Working[BanditLog]:
    file = data.files["log"]
    steps = iter_read_bandit_log(file.path, file.name, target=data.options.get("target", ""))
    return (yield from relay(steps, lambda step: Progress(step.done, step.total, step.label)))


def target_of(log: BanditLog) -> Floats:
    """The target policy's probability of each logged action: its column, or one over the number of actions."""
    return np.full(len(log.action), 1 / len(log.actions)) if log.target is None else log.target


def trouble(found: Diagnosis) -> str:
    """Why no estimate from these weights should be used, or nothing."""
    if abs(found.mean_weight - 1) > FAR_FROM_ONE:
        return f"The mean weight is {found.mean_weight:.2f} and must be near 1: this log does not cover the target policy."
    if found.ess_fraction < FEW:
        return f"The effective sample is {found.ess_fraction:.1%} of the rows: a few rows carry every estimate."
    return ""


def check(files: Mapping[str, DataFile], options: Mapping[str, str]) -> DataInfo:
    """Reads the file once; raises InvalidInput with line and column. See `DataSpec.check`."""
    file = files["log"]
    log = read_bandit_log(file.path, file.name, target=options.get("target", ""))
    if len(log.action) < LEAST_ROWS or len(log.actions) < LEAST_ACTIONS:
        raise InvalidInput(
            f"{file.name} has {len(log.action):,} rows and {len(log.actions)} actions; expected {LEAST_ROWS} rows and {LEAST_ACTIONS} "
            "actions or more."
        )
    found = diagnose(log.propensity, target_of(log))
    return DataInfo(_facts(log, found), tuple(_warnings(log, found)))


def _facts(log: BanditLog, found: Diagnosis) -> tuple[tuple[str, str], ...]:
    return (
        ("Rows", f"{len(log.action):,}"),
        ("Actions", f"{len(log.actions):,}"),
        ("Reward, mean", f"{log.reward.mean():.4g}"),
        ("Features", f"{len(log.features):,}"),
        ("Positions", "none" if log.position is None else f"{len(np.unique(log.position)):,}"),
        ("Target", "uniform over the actions" if log.target is None else "a column of the file"),
        ("Mean weight, effective sample", f"{found.mean_weight:.2f}, {found.ess_fraction:.1%} of the rows"),
    )


def _warnings(log: BanditLog, found: Diagnosis) -> list[str]:
    said = [trouble(found)] if trouble(found) else []
    if log.left_out:
        said.append(f"Left out, being text with too many values or only one: {', '.join(log.left_out)[:200]}.")
    return said


def columns(file: DataFile) -> tuple[str, ...]:
    return open_table(file.path, file.name).columns


SPEC = DataSpec(
    title="Your log of shown actions",
    help=(
        "One row a shown action, with the probability it was shown with. Judged is the uniform policy, or the one whose probability of the "
        "logged action stands in the column you name."
    ),
    slots=(
        DataSlot(
            "log",
            "Log",
            "CSV (UTF-8, commas) or Parquet, up to 500,000 rows: action (or item_id), reward (or click), propensity (or propensity_score), "
            "position if there is one, features; the Open Bandit files are read as they are",
            (".csv", ".parquet"),
            max_bytes=200 * 2**20,
        ),
    ),
    check=check,
    options=(DataOption("target", "Target policy", "A column of probabilities; empty: every action alike", columns_of="log"),),
    columns=columns,
    example="item_id,click,propensity_score,position,age\n12,0,0.08,1,31\n7,1,0.31,2,45\n12,0,0.11,3,31\n",
)
