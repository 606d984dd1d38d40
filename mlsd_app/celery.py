"""The Celery application. Queues: interactive (sliders), measure (one slot, wall-clock labs), batch (sweeps, housekeeping)."""

from __future__ import annotations

import os
import signal

# One thread a process: on two busy cores two threads cost three to seven times the CPU, and forking after OpenMP has started
# its pool hangs. Set before numpy, faiss or torch can be imported.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mlsd_app.settings")

from celery import Celery  # noqa: E402
from celery.signals import beat_embedded_init, worker_process_init  # noqa: E402

from mlsd_app.core.presence import Presence  # noqa: E402
from mlsd_app.core.tether import die_with_parent  # noqa: E402

app = Celery("loop45")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["consumer"].add(Presence)


@worker_process_init.connect
@beat_embedded_init.connect
def tether(**_: object) -> None:
    """A worker that is killed takes its pool and its beat along; they would otherwise go on without anyone to stop them."""
    die_with_parent(signal.SIGKILL)
