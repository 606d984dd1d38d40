"""What a web process does before it takes requests, so that its first visitor does not wait for imports."""

from __future__ import annotations

from django.urls import get_resolver

from problems.loader import all_problems
from simulators.registry import labs


def warm_up() -> None:
    """Imports every view and every lab and reads the content; about a second and a half that the first page would cost otherwise."""
    _ = get_resolver().url_patterns
    labs()
    all_problems()
