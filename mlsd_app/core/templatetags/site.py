"""Template tags that any page may use."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from django import template
from django.conf import settings
from django.utils.safestring import SafeString, mark_safe

from mlsd_app.core import markdown as md

register = template.Library()


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """A vendored Lucide icon, inline. Without `label` it is decoration and hidden from screen readers."""
    naming = f'role="img" aria-label="{label}"' if label else 'aria-hidden="true"'
    return mark_safe(_svg(name).replace("<svg", f'<svg class="icon" {naming}', 1))  # noqa: S308 - our own files


@cache
def _svg(name: str) -> str:
    text = (settings.BASE_DIR / "static" / "vendor" / "icons" / f"{name}.svg").read_text()
    lines = (line.strip() for line in text[text.index("<svg") :].splitlines())
    return " ".join(line for line in lines if not line.startswith("class="))


@register.filter
def markdown(text: str) -> SafeString:
    return md.render(text)


@register.filter
def startswith(text: str, prefix: str) -> bool:
    return str(text).startswith(prefix)  # an error page may have no request, hence no path


@register.filter
def get(mapping: Mapping[str, Any], key: str) -> Any:
    """`mapping[key]` where the key is a variable; None when it is not there."""
    return mapping.get(key)
