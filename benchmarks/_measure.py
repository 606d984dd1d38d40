"""What the benchmarks of the running site share: a site of their own, percentiles, a table."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import django
import numpy as np

from tests.live import LiveSite, running_site


@contextmanager
def own_site() -> Iterator[LiveSite]:
    """The whole site in a temporary folder, as `make run` starts it."""
    with tempfile.TemporaryDirectory(prefix="loop45-bench-") as folder, running_site(Path(folder) / "var") as site:
        yield site


def setup_django() -> None:
    """For what needs the site's URLs here, outside the running site."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mlsd_app.settings")
    django.setup()


def percentile_ms(values_s: Sequence[float], q: float) -> float:
    return float(np.percentile(np.asarray(values_s), q)) * 1000


def table(heading: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
