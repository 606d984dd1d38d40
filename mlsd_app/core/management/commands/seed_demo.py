from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from mlsd_app.accounts.models import User
from mlsd_app.core.demo import PEOPLE, DemoPerson


class Command(BaseCommand):
    help = "Makes the demo accounts. Running it again changes nothing."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO:
            raise CommandError("LOOP45_DEMO is 0 here: the demo accounts have published passwords and are for development only.")
        for person in PEOPLE:
            if not User.objects.filter(username=person.username).exists():
                _create(person)
                self.stdout.write(f"Made the demo account {person.username}.")


def _create(person: DemoPerson) -> None:
    User.objects.create_user(person.username, password=person.password, is_staff=person.is_staff, is_superuser=person.is_staff)
