from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from mlsd_app.accounts.services import guests_delete_stale


class Command(BaseCommand):
    help = "Deletes guests that own nothing and are older than STALE_GUEST_DAYS. The site does this once a day by itself."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"Deleted {guests_delete_stale()} guests without any work.")
