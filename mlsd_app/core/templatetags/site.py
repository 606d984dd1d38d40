"""Template tags that any page may use."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from django import template
from django.conf import settings
from django.utils.dateformat import format as date_format
from django.utils.html import format_html
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


@register.simple_tag
def utc(moment: datetime, *, seconds: bool = False, zone: bool = True) -> SafeString:
    """A moment in UTC, which a module rewrites to the reader's own clock. Without `zone` where a heading says `{% utc_zone %}`."""
    text = date_format(moment.astimezone(UTC), "j M Y, H:i:s" if seconds else "j M Y, H:i")
    kind = "second" if seconds else "minute"
    return format_html('<time datetime="{}" data-utc="{}">{}{}</time>', moment.isoformat(), kind, text, " UTC" if zone else "")


@register.simple_tag
def utc_zone() -> SafeString:
    """Behind the heading of a column of times: which zone, as long as they are not on the reader's own clock."""
    return mark_safe(" <span data-utc-zone>(UTC)</span>")


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
