"""So many requests a minute, counted in Redis. Without Redis nobody is turned away: then no run can start either."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import redis
from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from mlsd_app.runs import channel

if TYPE_CHECKING:
    from rest_framework.views import APIView

WINDOW_S = 60


class PerMinute(BaseThrottle):
    counts = ""  # what is counted apart from everything else

    def allow_request(self, request: Request, view: APIView) -> bool:
        signed_in = request.user.is_authenticated
        who = f"user:{request.user.pk}" if signed_in else f"ip:{request.META.get('REMOTE_ADDR', '')}"
        try:
            return _count(self.counts + who, int(time.time()) // WINDOW_S) <= self.limit(signed_in)
        except redis.RedisError:
            return True

    def limit(self, signed_in: bool) -> int:
        return int(settings.API_LIMITS["signed_in_per_minute" if signed_in else "visitor_per_minute"])

    def wait(self) -> float:
        return WINDOW_S - time.time() % WINDOW_S


class ReadingsPerMinute(PerMinute):
    """How often a typed number is read back."""

    counts = "readings:"

    def limit(self, signed_in: bool) -> int:
        return int(settings.API_LIMITS["readings_per_minute"])


def _count(who: str, window: int) -> int:
    pipe = channel.connection().pipeline(transaction=False)
    pipe.incr(f"api:{who}:{window}")
    pipe.expire(f"api:{who}:{window}", 2 * WINDOW_S)
    return int(pipe.execute()[0])
