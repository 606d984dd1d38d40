from __future__ import annotations

import signal
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from mlsd_app.core.demo import PEOPLE
from mlsd_app.core.processes import ProcfileError, environment, wanted_processes
from mlsd_app.core.running import CannotRun, only_one, port_check, process_manager, stopped_sentence, wait_until_ready

READY_WITHIN_S = 180  # a busy machine with one core takes minutes to import every lab


class Command(BaseCommand):
    help = "Brings the database up to date and starts the whole site: Redis, web and workers. Ctrl-C stops it."

    def handle(self, *args: Any, **options: Any) -> None:
        _stop_signals_raise()
        with suppress(KeyboardInterrupt):
            try:
                self._run()
            except (CannotRun, ProcfileError) as error:
                raise CommandError(str(error)) from error

    def _run(self) -> None:
        variables = environment()
        host, port = _reachable(variables["LOOP45_BIND"]), settings.PORT
        address = f"http://{host}:{port}/"
        with only_one(settings.VAR_DIR / "up.lock", address):
            port_check(variables["LOOP45_BIND"], port)
            processes = wanted_processes(variables)
            self._prepare()
            with process_manager(processes, variables) as manager:
                self._announce(address, wait_until_ready(manager, host, port, READY_WITHIN_S))
                manager.wait()
            raise CannotRun(stopped_sentence(manager))

    def _prepare(self) -> None:
        call_command("migrate", interactive=False, verbosity=0)
        if settings.PRODUCTION:  # elsewhere static files are served from where they are
            call_command("collectstatic", interactive=False, verbosity=0)
        if settings.DEMO:
            call_command("seed_demo", stdout=self.stdout)

    def _announce(self, address: str, health: dict[str, Any]) -> None:
        lines = ["", f"Loop45 runs at {address}"]
        if settings.DEMO:
            lines += ["", *[f"  {person.role:<12}{person.username:<12}{person.password}" for person in PEOPLE]]
        idle = [queue for queue, alive in health["queues"].items() if not alive]
        if idle:
            lines += ["", f"No worker has reported yet for: {', '.join(idle)}. The logs say why."]
        lines += ["", f"Logs: {settings.VAR_DIR / 'log'}    Stop: Ctrl-C"]
        self.stdout.write("\n".join(lines))
        self.stdout.flush()


def _stop_signals_raise() -> None:
    """SIGTERM and a closed terminal stop the site as Ctrl-C does; under nohup SIGHUP stays ignored."""
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if name != signal.SIGHUP or signal.getsignal(name) != signal.SIG_IGN:
            signal.signal(name, signal.default_int_handler)


def _reachable(bind: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind, bind)  # noqa: S104 - a name for it, not a binding
