"""Saving of an interview: what a save costs the server, and what the versions of a text take.

Saves run one after the other through the real service on a SQLite file in WAL mode, as the site uses it: SQLite has one writer anyway.
100 people who save every 5 s are 20 saves a second, so a save may take 50 ms before a queue grows without end; the p95 under that load
is computed from processor time, with arrivals at random and one writer. On a machine that does other work wall time says little.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

from benchmarks._measure import percentile_ms, setup_django, table

PEOPLE = 100
ROUNDS = 6
EVERY_S = 5.0
SAVES = 417
CHARACTERS = 11_000


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="loop45-bench-") as folder:
        os.environ["LOOP45_VAR"] = folder
        os.environ.pop("DATABASE_URL", None)
        setup_django()
        _migrate()
        took, wall = zip(*_saves_of_many(), strict=True)
        waited = _queued(took)
        kept, copies = _sizes()
    load = f"with {PEOPLE} people saving every {EVERY_S:g} s"
    rows = [
        [f"save, {len(took)} saves in {PEOPLE} attempts, processor time: median", f"{percentile_ms(took, 50):.1f} ms"],
        ["the same: p95", f"{percentile_ms(took, 95):.1f} ms"],
        ["the same, wall time: median, p95", f"{percentile_ms(wall, 50):.1f} ms, {percentile_ms(wall, 95):.1f} ms"],
        [f"until the answer, {load}, from processor time: p95", f"{percentile_ms(waited, 95):.1f} ms"],
        [f"{SAVES} saves of a text that grows to {CHARACTERS:,} characters", f"{kept / 1e6:.2f} MB"],
        ["the same as full copies", f"{copies / 1e6:.2f} MB"],
    ]
    print(table(["What", "Value"], rows))


def _migrate() -> None:
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def _saves_of_many() -> Iterator[tuple[float, float]]:
    """Seconds of processor and wall time of each save, with the attempts taking turns, as a server with many people sees it."""
    attempts = [_attempt(f"person{number}") for number in range(PEOPLE)]
    for number in range(ROUNDS):
        for attempt in attempts:
            started, busy = time.perf_counter(), time.process_time()
            _save(attempt, "word " * 200 + f"{number}", number)
            yield time.process_time() - busy, time.perf_counter() - started


def _attempt(name: str) -> Any:
    from django.utils import timezone

    from mlsd_app.accounts.models import User
    from mlsd_app.interviews import presets
    from mlsd_app.interviews.models import Attempt, Status

    phases = presets.preset_phases("five_phase")
    user = User.objects.create(username=name)
    return Attempt.objects.create(user=user, problem="vector_search", phases=phases, status=Status.OPEN, started_at=timezone.now())


def _save(attempt: Any, content: str, base_rev: int) -> None:
    from django.utils import timezone

    from mlsd_app.interviews.answers import answer_save

    reply = answer_save(
        attempt=attempt,
        field="text/clarify",
        content=content,
        base_rev=base_rev,
        op_id=uuid4().hex,
        client_id="tab",
        client_label="Firefox on Linux",
        lease_epoch=None,
        now=timezone.now(),
    )
    if reply.status != 200:
        raise RuntimeError(f"a save was answered with {reply.status}: {reply.body}")


def _queued(took: Sequence[float]) -> list[float]:
    """Seconds from arrival to answer, arrivals at random at the rate of PEOPLE saving every EVERY_S, served one at a time."""
    rng, at, free, waits = random.Random(1), 0.0, 0.0, list[float]()
    for seconds in rng.choices(took, k=10 * len(took)):
        at += rng.expovariate(PEOPLE / EVERY_S)
        free = max(at, free) + seconds
        waits.append(free - at)
    return waits


def _sizes() -> tuple[int, int]:
    """Bytes of what is kept, and of every version in full, of a text typed with corrections in the middle."""
    from mlsd_app.interviews.models import AnswerOp

    rng, text, copies, attempt = random.Random(2), "", 0, _attempt("writer")
    for number in range(SAVES):
        place = len(text) if rng.random() < 0.8 else rng.randint(0, len(text))
        text = text[:place] + "".join(rng.choice("abcdefgh ") for _ in range(CHARACTERS // SAVES + 1)) + text[place:]
        copies += len(text)
        _save(attempt, text, number)
    ops = AnswerOp.objects.filter(attempt=attempt)
    return sum(len(op.keyframe or "") + len(str(op.splice or "")) for op in ops), copies


if __name__ == "__main__":
    main()
