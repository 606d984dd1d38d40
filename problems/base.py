"""Names every content model is made of."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints

PhaseKey = Literal["clarify", "capacity", "architecture", "deep_dive", "evaluation"]
PHASES: dict[PhaseKey, str] = {
    "clarify": "Clarify",
    "capacity": "Capacity",
    "architecture": "API and architecture",
    "deep_dive": "Deep dive",
    "evaluation": "Evaluation, monitoring, gotchas",
}
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


class Content(BaseModel):
    """Base of everything read from a problem folder: frozen, and no key is ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)
