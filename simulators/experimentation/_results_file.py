"""What labs that read the user's own experiment ask of its file alike: one table, its columns by name."""

from __future__ import annotations

from simulators.engines.experiment.tabular import MAX_BYTES, TableFile, open_table
from simulators.errors import InvalidInput
from simulators.lab import DataFile, DataSlot

RESULTS = DataSlot(
    "results",
    "Results",
    "CSV (UTF-8, commas) or Parquet, up to 5 million rows and 100 columns",
    (".csv", ".parquet"),
    max_bytes=MAX_BYTES,
)


def column_names(file: DataFile) -> tuple[str, ...]:
    return open_table(file.path, file.name).columns


def known_column(table: TableFile, column: str, key: str) -> str:
    """The column itself. Raises InvalidInput, at the option `key`, where the file has none of that name."""
    if column not in table.columns:
        raise InvalidInput(f"There is no column {column!r}; {table.name} has {', '.join(table.columns)}.", field=key)
    return column
