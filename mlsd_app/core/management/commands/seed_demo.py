from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from mlsd_app.accounts.services import demo_user_create
from mlsd_app.cohorts.demo import demo_cohort, demo_learners
from mlsd_app.cohorts.live.demo import demo_running
from mlsd_app.core.demo import PEOPLE
from mlsd_app.interviews.demo import demo_interviews
from mlsd_app.quiz.demo import demo_quiz


class Command(BaseCommand):
    help = "Makes the demo accounts, the candidate's quiz and the demo cohort. Run again it only begins interviews for the live board."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO:
            raise CommandError("LOOP45_DEMO is 0 here: the demo accounts have published passwords and are for development only.")
        people = {
            person.role: demo_user_create(username=person.username, password=person.password, is_staff=person.is_staff) for person in PEOPLE
        }
        demo_quiz(user=people["Candidate"], now=timezone.now())
        cohort = demo_cohort(instructor=people["Instructor"], candidate=people["Candidate"], now=timezone.now())
        learners = [member.user for member in demo_learners(cohort)[-4:]]
        demo_running(cohort=cohort, owner=people["Instructor"], people=learners, now=timezone.now())
        demo_interviews(candidate=people["Candidate"], now=timezone.now())
        self.stdout.write(f"Demo accounts: {', '.join(person.username for person in PEOPLE)}.")
