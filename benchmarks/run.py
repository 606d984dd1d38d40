"""Runs the benchmarks and prints one Markdown report: `python -m benchmarks.run [name ...]`, without names all of them.

A benchmark is a module of this package with a `main()` that prints Markdown. Each runs in a process of its own, so that none inherits
another's memory, threads or warm caches. Modules whose name begins with an underscore are helpers.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import platform
import subprocess
import sys
from pathlib import Path

import benchmarks


def names() -> list[str]:
    found = [module.name for module in pkgutil.iter_modules(benchmarks.__path__) if not module.name.startswith("_")]
    return sorted(set(found) - {"run"})


def machine() -> str:
    """One line about what the figures were measured on."""
    model = next((line.split(":", 1)[1].strip() for line in _cpu_lines() if line.startswith("model name")), platform.processor())
    return f"{os.cpu_count()} cores ({model or 'unknown processor'}), {platform.system()}, Python {platform.python_version()}"


def _cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def title(name: str) -> str:
    return (importlib.import_module(f"benchmarks.{name}").__doc__ or name).splitlines()[0]


def main() -> int:
    chosen = sys.argv[1:] or names()
    unknown = set(chosen) - set(names())
    if unknown:
        print(f"There is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(names())}.", file=sys.stderr)
        return 2
    print(f"# Benchmarks\n\nMeasured on {machine()}.")
    failed = [name for name in chosen if not run(name)]
    if failed:
        print(f"Failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def run(name: str) -> bool:
    print(f"\n## {name}\n\n{title(name)}\n", flush=True)
    return subprocess.run([sys.executable, "-m", f"benchmarks.{name}"]).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
