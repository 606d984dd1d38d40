"""What the quiz keeps. Items live in problems/<slug>/quiz.yaml; rows name them by (problem_slug, item_id, rev)."""

from __future__ import annotations

from django.db import models


class Instance(models.Model):
    """One lab question with its numbers: the settings asked about and the truth that runs of the lab gave for them.

    Never changed after it was made. It serves as long as `rev` is the item's and `lab_version` the lab's; an answer keeps the
    instance it was given to. Rows with `usable` False say in `reason` why these settings make no question, so that they are not
    run again.
    """

    key = models.CharField(max_length=64, unique=True)  # SHA-256 of item, rev, lab, version, params and seeds
    problem_slug = models.CharField(max_length=64)
    item_id = models.CharField(max_length=128)
    rev = models.PositiveIntegerField()
    lab = models.CharField(max_length=64)
    lab_version = models.PositiveIntegerField()
    params = models.JSONField()  # the drawn values: of a direction or value question one setting, else what all settings share
    seeds = models.JSONField()  # the lab's seeds the truth was computed with
    options = models.JSONField(default=list)  # [{"label", "params"}]: the settings, in the order they were drawn
    truth = models.JSONField(default=dict)  # see mlsd_app.quiz.instances
    run_keys = models.JSONField(default=list)  # cache keys of the runs, one a setting, first seed
    usable = models.BooleanField()
    reason = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["created_at"]
        indexes = [models.Index(fields=["problem_slug", "item_id", "lab_version", "usable"], name="instance_by_item")]

    def __str__(self) -> str:
        return f"{self.item_id} {self.key[:12]}"
