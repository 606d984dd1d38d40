"""How the site is: database, Redis, and which queues have a worker."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection
from redis import Redis
from redis.exceptions import RedisError

from mlsd_app.core.presence import QUEUES, alive_queues


@dataclass(frozen=True)
class Health:
    database: bool
    redis: bool
    queues: dict[str, bool]

    @property
    def complete(self) -> bool:
        return self.database and self.redis and all(self.queues.values())

    def as_json(self) -> dict[str, Any]:
        status = "ok" if self.complete else "degraded" if self.database else "down"
        return {"status": status, **asdict(self)}


def health() -> Health:
    alive = _alive_queues()
    return Health(database=_database_answers(), redis=alive is not None, queues={queue: queue in (alive or ()) for queue in QUEUES})


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return False
    return True


def _alive_queues() -> set[str] | None:
    try:
        with Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=1) as client:
            return alive_queues(client)
    except RedisError:
        return None
