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
    def allow_request(self, request: Request, view: APIView) -> bool:
        signed_in = request.user.is_authenticated
        who = f"user:{request.user.pk}" if signed_in else f"ip:{request.META.get('REMOTE_ADDR', '')}"
        limit = settings.API_LIMITS["signed_in_per_minute" if signed_in else "visitor_per_minute"]
        try:
            return _count(who, int(time.time()) // WINDOW_S) <= limit
        except redis.RedisError:
            return True

    def wait(self) -> float:
        return WINDOW_S - time.time() % WINDOW_S


def _count(who: str, window: int) -> int:
    pipe = channel.connection().pipeline(transaction=False)
    pipe.incr(f"api:{who}:{window}")
    pipe.expire(f"api:{who}:{window}", 2 * WINDOW_S)
    return int(pipe.execute()[0])
