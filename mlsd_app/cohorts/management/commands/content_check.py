"""manage.py content_check [slug ...]: the report of every problem folder, one finding a line."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from mlsd_app.cohorts.authoring.folder import checked_problem
from mlsd_app.cohorts.authoring.report import Finding
from mlsd_app.quiz.checks import readiness_faults
from problems.errors import InvalidInput
from problems.loader import ROOT, all_problems, folder_faults


class Command(BaseCommand):
    help = "Checks the folders of all problems, or of those named; exits with 1 if there is an error. Nothing is run."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slugs", nargs="*", metavar="slug", help="problems to check; all without one")

    def handle(self, *args: Any, **options: Any) -> None:
        known = sorted(path.parent.name for path in ROOT.glob("*/problem.yaml"))
        slugs = options["slugs"] or known
        if unknown := [slug for slug in slugs if slug not in known]:
            raise CommandError(f"There is no problem {unknown[0]!r}; the problems are {', '.join(known)}.")
        found = [(slug, finding) for slug in slugs for finding in _report(slug)]
        if not options["slugs"]:
            found += [("all", Finding("error", "quiz.yaml", None, fault, "")) for fault in _readiness(known)]
        for slug, finding in found:
            self.stdout.write(line_of(slug, finding))
        errors = sum(finding.level == "error" for _, finding in found)
        if errors:
            raise CommandError(f"{errors} errors in {len(slugs)} problems.")
        self.stdout.write(f"{len(slugs)} problems, no error.")


def line_of(slug: str, finding: Finding) -> str:
    place = f"{slug}/{finding.file}" + (f":{finding.line}" if finding.line else "")
    return f"{place}: {finding.level}: {finding.message}" + (f" {finding.remedy}" if finding.remedy else "")


def _report(slug: str) -> tuple[Finding, ...]:
    try:
        return checked_problem(slug)
    except InvalidInput as error:
        return (Finding("error", "problem.yaml", None, error.message, ""),)


def _readiness(slugs: list[str]) -> list[str]:
    """Only of a site all of whose problems can be read."""
    return readiness_faults(all_problems()) if not any(folder_faults(ROOT / slug) for slug in slugs) else []
