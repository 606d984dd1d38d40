"""The pages of a cohort, in the order of its tabs. A new page is a line here."""

from __future__ import annotations

from dataclasses import dataclass

from django.urls import reverse

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.models import Cohort
from mlsd_app.cohorts.rules import may


@dataclass(frozen=True)
class Tab:
    name: str  # of the URL
    title: str
    action: str  # who sees it


TABS = (
    Tab("cohorts:cohort", "Overview", "see_cohort"),
    Tab("cohorts:live", "Live", "watch_live"),
    Tab("cohorts:people", "People", "see_people"),
    Tab("cohorts:grading", "Grading", "grade_in_cohort"),
    Tab("cohorts:gradebook", "Gradebook", "see_analytics_names"),
    Tab("cohorts:accommodations", "Accommodations", "manage_accommodations"),
    Tab("cohorts:analytics", "Analytics", "see_analytics"),
    Tab("cohorts:exports", "Exports", "export_cohort"),
    Tab("cohorts:settings", "Settings", "manage_learners"),
    Tab("cohorts:audit", "Log", "see_cohort_audit"),
)


def tabs_for(*, user: User, cohort: Cohort) -> list[tuple[str, str, str]]:
    """(name, title, address) of those the user may open."""
    return [(tab.name, tab.title, reverse(tab.name, args=[cohort.pk])) for tab in TABS if may(user, tab.action, cohort)]
