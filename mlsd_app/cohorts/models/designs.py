"""What hangs on a try at a challenge or a prediction."""

from __future__ import annotations

from django.db import models

from mlsd_app.cohorts.models.assignments import AssignedAttempt


class TrySubmission(models.Model):
    """A design submitted within a try. The same design in a second try is the same submission: it is judged once."""

    assigned = models.ForeignKey(AssignedAttempt, on_delete=models.CASCADE, related_name="designs")
    submission = models.ForeignKey("challenges.Submission", on_delete=models.CASCADE, related_name="tries")

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["assigned", "submission"], name="try_submission_once")]

    def __str__(self) -> str:
        return f"{self.submission_id} in try {self.assigned_id}"


class Prediction(models.Model):
    """An 80 % interval for one figure, stated before the run. Truth, hit and score are set once the run has ended."""

    assigned = models.ForeignKey(AssignedAttempt, on_delete=models.CASCADE, related_name="predictions")
    metric = models.CharField(max_length=128)
    label = models.CharField(max_length=200)
    unit = models.CharField(max_length=64, blank=True)
    scale = models.CharField(max_length=8)  # simulators.scoring.Scale
    lower = models.FloatField()
    upper = models.FloatField()
    made_at = models.DateTimeField()
    seen_before = models.BooleanField(default=False)  # had run this very preset: left out of rates
    run = models.ForeignKey("runs.Run", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    truth = models.FloatField(null=True, blank=True)  # None after `resolved_at`: the run did not give this figure
    hit = models.BooleanField(null=True, blank=True)
    score = models.FloatField(null=True, blank=True)  # interval score on the scale; None where the truth lies outside its domain
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["assigned", "metric"], name="prediction_once")]

    def __str__(self) -> str:
        return f"{self.metric} from {self.lower:g} to {self.upper:g}"
