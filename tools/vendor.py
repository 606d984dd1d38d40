"""Copies the front-end files the site serves from node_modules into static/vendor and writes their versions down.

Run by `make vendor` after a version in package.json has changed. Needs npm; the site does not.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULES, VENDOR = ROOT / "node_modules", ROOT / "static" / "vendor"
FILES = {
    "htmx.org/dist/htmx.min.js": "htmx/htmx.js",
    "htmx.org/LICENSE": "htmx/LICENSE",
    "plotly.js-cartesian-dist-min/plotly-cartesian.min.js": "plotly/plotly.js",
    "plotly.js-cartesian-dist-min/LICENSE": "plotly/LICENSE",
    "@fontsource-variable/inter/files/inter-latin-wght-normal.woff2": "fonts/inter.woff2",
    "@fontsource-variable/inter/LICENSE": "fonts/inter-LICENSE",
    "@fontsource-variable/jetbrains-mono/files/jetbrains-mono-latin-wght-normal.woff2": "fonts/jetbrains-mono.woff2",
    "@fontsource-variable/jetbrains-mono/LICENSE": "fonts/jetbrains-mono-LICENSE",
    "lucide-static/LICENSE": "icons/LICENSE",
}
# fmt: off
ICONS = (
    "activity", "archive", "arrow-left", "arrow-right", "arrow-up-right", "beaker", "book-open", "calculator", "check",
    "chevron-down", "chevron-right", "circle", "circle-check", "circle-dot", "circle-help", "clock", "cloud-off", "code",
    "copy", "database", "download", "eye", "eye-off", "file-text", "flask-conical", "gauge", "git-branch", "history",
    "house", "info", "keyboard", "key", "layers", "link", "list", "lock", "log-in", "log-out", "menu", "message-square",
    "monitor", "moon", "network", "panel-left", "pause", "pencil", "pin", "play", "plus", "refresh-cw", "rotate-ccw",
    "save", "search", "settings", "share-2", "shield", "sliders-horizontal", "sparkles", "square", "star", "sun", "target",
    "timer", "trash-2", "triangle-alert", "trending-up", "upload", "user", "users", "wifi-off", "x",
)
# fmt: on


def copy() -> None:
    shutil.rmtree(VENDOR, ignore_errors=True)
    for source, target in FILES.items():
        place = VENDOR / target
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(MODULES / source, place)
    for name in ICONS:
        shutil.copyfile(MODULES / "lucide-static" / "icons" / f"{name}.svg", VENDOR / "icons" / f"{name}.svg")


def plotly_styles() -> str:
    """The rules that Plotly would write into a style element, which a strict CSP forbids, as a stylesheet."""
    bundle = (VENDOR / "plotly" / "plotly.js").read_text()
    found = re.search(r'\{"X,X div":.*?\};for', bundle)
    if found is None:
        raise SystemExit("Plotly's rules are no longer where they were; look for plotcss in its sources.")
    rules = re.findall(r""""((?:[^"\\]|\\.)+)":(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")""", found[0])
    lines = [f"{_selector(name)} {{ {single or double} }}" for name, single, double in rules]
    return "/* Taken from the bundle by tools/vendor.py. */\n" + "\n".join(lines) + "\n"


def _selector(short: str) -> str:
    return re.sub(r"^,", " ,", short).replace("X", ".js-plotly-plot .plotly").replace("Y", ".plotly-notifier")


def versions() -> dict[str, dict[str, str]]:
    names = json.loads((ROOT / "package.json").read_text())["dependencies"]
    return {name: {key: json.loads((MODULES / name / "package.json").read_text())[key] for key in ("version", "license")} for name in names}


if __name__ == "__main__":
    copy()
    (VENDOR / "plotly" / "plotly.css").write_text(plotly_styles())
    (VENDOR / "versions.json").write_text(json.dumps(versions(), indent=2) + "\n")
