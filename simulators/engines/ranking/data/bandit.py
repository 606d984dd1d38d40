"""Logs of what a policy showed and with which probability; the Open Bandit Dataset's files (Saito et al. 2021) are read as they are."""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from simulators.engines.experiment.faults import is_number
from simulators.engines.experiment.tabular import Batch, TableFile, open_table, place_of, read_batches, require_numbers
from simulators.engines.ranking.arguments import Floats, Ints
from simulators.engines.ranking.step import Step
from simulators.engines.steps import finish
from simulators.errors import InvalidInput

NAMES = {
    "action": ("action", "item_id", "arm"),
    "reward": ("reward", "click"),
    "propensity": ("propensity", "propensity_score", "pscore", "action_prob"),
    "position": ("position",),
}
IGNORED = re.compile(r"(|timestamp|time|date|unnamed: 0|index|.*affinity.*)", re.IGNORECASE)
MAX_ROWS, MAX_ACTIONS, MAX_LEVELS, MAX_CONTEXT = 500_000, 1_000, 20, 60


@dataclass(frozen=True)
class BanditLog:
    """N impressions in the order of the file.

    action      (N,) codes from 0; `actions` are the values in the file
    reward      (N,) what the action brought
    propensity  (N,) the logging policy's probability of it, above 0
    position    (N,) where it was shown, or None
    context     (N, d) features: numbers as they are, texts of few values as indicators; `features` names them
    target      (N,) the target policy's probability of the logged action, where a column of it was named
    left_out    columns that are neither
    """

    action: Ints
    reward: Floats
    propensity: Floats
    position: Floats | None
    context: Floats
    actions: tuple[str, ...]
    features: tuple[str, ...]
    target: Floats | None = None
    left_out: tuple[str, ...] = ()


def read_bandit_log(path: Path | str, name: str | None = None, *, target: str = "") -> BanditLog:
    """CSV or Parquet with a header. Raises InvalidInput with line or row and column.

    Columns: action (or item_id), reward (or click), propensity (or propensity_score), position if there is one; what else is a feature.
    Times, row numbers and the item affinities of the Open Bandit files are left out. `target` names a column of probabilities.
    """
    return finish(iter_read_bandit_log(path, name, target=target))


def iter_read_bandit_log(path: Path | str, name: str | None = None, *, target: str = "") -> Generator[Step, None, BanditLog]:
    """`read_bandit_log`, a step a block of the file."""
    path = Path(path)
    table = open_table(path, name or path.name)
    roles = _roles(table, target)
    numeric, textual = _features(table, set(roles.values()))
    numbers = [column for role, column in roles.items() if role != "action"] + numeric
    require_numbers(table, numbers)
    parts, read = list[Batch](), 0
    for batch in read_batches(table, numbers, [roles["action"], *textual]):
        _checked(table, batch, roles)
        parts.append(batch)
        read += batch.rows
        if read > MAX_ROWS:
            raise InvalidInput(f"{table.name} has more than {MAX_ROWS:,} rows; take a sample of them.")
        yield Step(read, max(read, MAX_ROWS), "reading the log")
    return _log(table, parts, roles, numeric, textual)


def _roles(table: TableFile, target: str) -> dict[str, str]:
    """{role: column}; position and target may be absent."""
    lowered = {column.lower().strip(): column for column in table.columns}
    roles = {}
    for role, names in NAMES.items():
        found = next((lowered[each] for each in names if each in lowered), None)
        if found is not None:
            roles[role] = found
        elif role != "position":
            raise InvalidInput(
                f"{table.name} has no column for the {role}; expected one named {' or '.join(names)}. "
                f"It has {', '.join(table.columns)[:200]}.",
                field=role,
            )
    if target:
        if target not in table.columns:
            raise InvalidInput(f"{table.name} has no column {target!r}; it has {', '.join(table.columns)[:200]}.", field="target")
        roles["target"] = target
    return roles


def _features(table: TableFile, taken: set[str]) -> tuple[list[str], list[str]]:
    """Names of the columns read as numbers and as texts."""
    left = [column for column in table.columns if column not in taken and not IGNORED.fullmatch(column.strip())][:MAX_CONTEXT]
    if table.format == "parquet":
        schema = pq.ParquetFile(table.path).schema_arrow
        numeric = [column for column in left if _is_number(schema.field(column).type)]
    else:
        numeric = [column for column in left if column in table.typical]
    return numeric, [column for column in left if column not in numeric]


def _is_number(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _checked(table: TableFile, batch: Batch, roles: dict[str, str]) -> None:
    propensity, reward = batch.numbers[roles["propensity"]], batch.numbers[roles["reward"]]
    _refuse(table, batch, roles["propensity"], propensity == 0, "a shown ad; expected its probability, above 0", " for")
    _refuse(table, batch, roles["propensity"], ~((propensity > 0) & (propensity <= 1)), "expected a probability above 0 and at most 1")
    _refuse(table, batch, roles["reward"], ~np.isfinite(reward), "expected a number")
    if "target" in roles:
        wanted = batch.numbers[roles["target"]]
        _refuse(table, batch, roles["target"], ~((wanted >= 0) & (wanted <= 1)), "expected a probability from 0 to 1")
    empty = pc.fill_null(pc.equal(batch.texts[roles["action"]], ""), True).to_numpy(zero_copy_only=False)
    if empty.any():
        at = int(np.asarray(empty).argmax())
        raise InvalidInput(
            f"{place_of(table, batch.first_row + at)}: {roles['action']} is empty; expected an action.", field=roles["action"]
        )


def _refuse(table: TableFile, batch: Batch, column: str, rows: Any, expected: str, joined: str = ";") -> None:
    if rows.any():
        at = int(rows.argmax())
        given = batch.numbers[column][at]
        shown = "is empty" if np.isnan(given) else f"{given:g}"
        place = place_of(table, batch.first_row + at)
        raise InvalidInput(f"{column} {shown} at {place[0].lower()}{place[1:]}{joined} {expected}.", field=column)


def _log(table: TableFile, parts: list[Batch], roles: dict[str, str], numeric: list[str], textual: list[str]) -> BanditLog:
    def column(name: str) -> Floats:
        return np.concatenate([part.numbers[name] for part in parts])

    codes, actions = _coded(parts, roles["action"])
    if len(actions) > MAX_ACTIONS:
        raise InvalidInput(
            f"Column {roles['action']} has {len(actions):,} values; at most {MAX_ACTIONS:,} actions are read.", field=roles["action"]
        )
    features, columns, left_out = list[str](), list[Floats](), list[str]()
    for name in numeric:
        values = column(name)
        features.append(name)
        columns.append(np.where(np.isfinite(values), values, 0.0))
    for name in textual:
        places, levels = _coded(parts, name)
        if 1 < len(levels) <= MAX_LEVELS:
            features += [f"{name} = {level}" for level in levels[1:]]
            columns += [(places == i).astype(np.float64) for i in range(1, len(levels))]
        else:
            left_out.append(name)
    context = np.column_stack(columns) if columns else np.zeros((len(codes), 0))
    return BanditLog(
        codes,
        column(roles["reward"]),
        column(roles["propensity"]),
        column(roles["position"]) if "position" in roles else None,
        context,
        actions,
        tuple(features),
        column(roles["target"]) if "target" in roles else None,
        tuple(left_out),
    )


def _coded(parts: list[Batch], name: str) -> tuple[Ints, tuple[str, ...]]:
    """Codes in order of the values: by number where all are numbers, else by text."""
    coded = pa.chunked_array([pc.fill_null(part.texts[name], "") for part in parts]).combine_chunks().dictionary_encode()
    values = coded.dictionary.to_pylist()
    order = sorted(range(len(values)), key=lambda i: float(values[i])) if all(map(is_number, values)) else np.argsort(values).tolist()
    place = np.empty(len(values), dtype=np.int64)
    place[order] = np.arange(len(values))
    return place[coded.indices.to_numpy()], tuple(values[i] for i in order)
