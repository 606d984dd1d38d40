"""manage.py content_check [slug ...]: what is wrong with the question banks, one fault a line."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from mlsd_app.quiz.checks import quiz_faults, readiness_faults
from problems.errors import InvalidInput
from problems.loader import all_problems, load_problem
from problems.schema import Problem


class Command(BaseCommand):
    help = "Checks the question banks of all problems, or of those named; exits with 1 if anything is wrong."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slugs", nargs="*", metavar="slug", help="problems to check; all without one")

    def handle(self, *args: Any, **options: Any) -> None:
        problems = _chosen(options["slugs"])
        faults = [f"{problem.slug}: {fault}" for problem in problems for fault in quiz_faults(problem)]
        if not options["slugs"]:
            faults += readiness_faults(problems)
        for fault in faults:
            self.stderr.write(fault)
        if faults:
            raise CommandError(f"{len(faults)} faults in {len(problems)} question banks.")
        items = sum(len(problem.quiz.items) for problem in problems if problem.quiz)
        self.stdout.write(f"{items} questions of {len(problems)} problems: nothing wrong.")


def _chosen(slugs: list[str]) -> list[Problem]:
    try:
        return [load_problem(slug) for slug in slugs] or [problem for problem in all_problems() if problem.complete]
    except InvalidInput as error:
        raise CommandError(error.message) from error
