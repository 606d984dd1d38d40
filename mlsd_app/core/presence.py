"""Which queues have a living worker.

Every worker that is connected and consuming refreshes one Redis key a queue; the key expires when nobody does. A worker that lost
its broker, hangs or was killed therefore vanishes within `TTL_S`, without anyone having to say goodbye. A worker whose pool is still
importing and compiling the labs does not count: what it takes from the queue would expire before it is begun.
"""

from __future__ import annotations

import mmap
import os
import socket
from typing import Any

from celery import bootsteps
from django.conf import settings
from redis import Redis
from redis.exceptions import RedisError

QUEUES = ("interactive", "measure", "batch")
TTL_S = 4
REFRESH_S = 1.0
_PREFIX = "loop45:worker:"
_POOL_IS_UP = mmap.mmap(-1, 1)  # a byte that a worker shares with the processes it forks


def presence_key(queue: str) -> str:
    """The key that exists while a worker consumes `queue`."""
    return _PREFIX + queue


def queue_alive(client: Redis, queue: str) -> bool:
    """Whether a worker consumes `queue`; raises redis.exceptions.RedisError when Redis cannot be asked."""
    return bool(client.exists(presence_key(queue)))


def alive_queues(client: Redis) -> set[str]:
    """Those of `QUEUES` that have a worker, asked in one round trip; raises like `queue_alive`."""
    values: Any = client.mget([presence_key(queue) for queue in QUEUES])
    return {queue for queue, worker in zip(QUEUES, values, strict=True) if worker is not None}


def announce(client: Redis, queues: list[str], worker: str) -> None:
    """Says for the next `TTL_S` seconds that `worker` consumes `queues`."""
    pipeline = client.pipeline(transaction=False)
    for queue in queues:
        pipeline.set(presence_key(queue), worker, ex=TTL_S)
    pipeline.execute()


def pool_process_up() -> None:
    """Said by a process of the pool: it can take a task now."""
    _POOL_IS_UP[0] = 1


class Presence(bootsteps.StartStopStep):
    """Celery consumer step: starts whenever the worker has (again) connected to its broker, stops when it has lost it."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._client = Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1)
        self._worker = f"{socket.gethostname()}-{os.getpid()}"
        self._timer: Any = None

    def start(self, consumer: Any) -> None:
        queues = list(consumer.app.amqp.queues.consume_from)
        self._refresh(queues)
        self._timer = consumer.timer.call_repeatedly(REFRESH_S, self._refresh, (queues,))

    def stop(self, consumer: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refresh(self, queues: list[str]) -> None:
        if not _POOL_IS_UP[0]:
            return
        try:
            announce(self._client, queues, self._worker)
        except RedisError:
            self._client.close()  # the consumer notices the loss itself and reconnects; until then the queue counts as unattended
