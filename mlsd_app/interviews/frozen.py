"""What an attempt keeps of its problem from its start on: a later change of the problem must not reach it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from mlsd_app.interviews.interviewer import facts
from mlsd_app.interviews.models import Attempt
from problems.loader import load_problem
from simulators.errors import InvalidInput
from simulators.registry import labs_of


def frozen_fields(attempt: Attempt) -> dict[str, Any]:
    """Fields of the attempt with texts, facts drawn by its seed, and versions. InvalidInput where the problem has no interview."""
    problem = load_problem(attempt.problem)
    if problem.interviewer is None or problem.rubric is None:
        raise InvalidInput(f"{problem.title} has no interview any more.", field="problem")
    texts = {"interviewer": problem.interviewer.model_dump(mode="json"), "rubric": problem.rubric.model_dump(mode="json")}
    return {
        "content": {**texts, **facts.draw(problem.interviewer, attempt.seed)},
        "content_hash": hashlib.sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest(),
        "rubric_version": problem.rubric.version,
        "lab_versions": {lab.slug: lab.version for lab in labs_of(attempt.problem)},
    }
