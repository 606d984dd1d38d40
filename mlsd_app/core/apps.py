from typing import Any

from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import pre_migrate


class CoreConfig(AppConfig):
    name = "mlsd_app.core"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from mlsd_app.core import checks  # noqa: F401 - importing registers them

        pre_migrate.connect(sqlite_to_wal)


def sqlite_to_wal(*, using: str, **_: Any) -> None:
    """Lets readers and a writer work at once. SQLite does not wait for others in this, so of several connections that try some fail."""
    if connections[using].vendor == "sqlite":
        with connections[using].cursor() as cursor:
            cursor.execute("PRAGMA journal_mode=WAL")
