"""What the registry lab lets a user choose."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from simulators.engines.features.definitions import FeatureView
from simulators.lab import LabParams, param

Detector = Literal["name", "fingerprint", "values", "both"]
Change = Literal["none", "drop_column", "rename_source", "redefine_in_place", "deprecate"]
SourceName = Literal["ad_clicks", "page_views", "purchases", "searches", "messages", "video_plays", "logins", "tickets"]

EXAMPLE = """\
name: ads.recent_spend
entity: user_id
source: events.purchases
timestamp: event_timestamp
created: ingested_at
ttl: 14 d
mode: batch
owner: ads
sla: 26 h
features:
  spend_3d:
    op: sum
    column: amount
    window: 3 d"""

AGAIN = """\
name: ads.click_counts
entity: user_id
source: events.ad_clicks
timestamp: event_timestamp
mode: streaming
owner: ads
features:
  n_clicks:
    op: count
    window: 168 h
    where: is_bot=0"""


class RegistryParams(LabParams):
    detector: Detector = param(
        "name",
        title="Duplicates found by",
        group="duplicates",
        help="Equal names; equal definitions (root source, keys, filter, operation, window); equal order of values; the last two.",
        labels={"name": "Name", "fingerprint": "Fingerprint", "values": "Values", "both": "Both"},
    )
    threshold: float = param(
        0.995,
        title="Rank correlation from",
        ge=0.8,
        le=1,
        step=0.001,
        group="duplicates",
        help="Two features of 2,000 sampled entities count as the same from this Spearman correlation on.",
        shown_when={"detector": ["values", "both"]},
    )
    reviews: int = param(
        10,
        title="Reviews",
        unit="pairs",
        ge=0,
        le=100,
        group="policy",
        help="Pairs a person looks at before they are merged, the doubtful ones first; what differs is left alone.",
    )
    orphans: Literal["keep", "unread", "lineage"] = param(
        "keep",
        title="Features nobody reads",
        group="policy",
        help="Keep them; remove those no model reads itself; remove those from which no model gets anything, by lineage.",
        labels={"keep": "Keep", "unread": "Remove unread", "lineage": "Remove by lineage"},
    )
    grace_days: int = param(
        30, title="Notice", unit="days", ge=0, le=180, group="policy", help="From the announcement of a change until it is made."
    )
    change: Change = param(
        "none",
        title="Change",
        group="change",
        help="Of the source below: its value column goes; it gets a new name; its most read view is redefined; its most read feature goes.",
        labels={
            "none": "None",
            "drop_column": "Drop a column",
            "rename_source": "Rename the source",
            "redefine_in_place": "Redefine a view in place",
            "deprecate": "Deprecate a feature",
        },
    )
    source: SourceName = param("ad_clicks", title="Source", group="change", help="Whose lineage is shown, and where the change is made.")
    definition: str = param(
        EXAMPLE,
        title="Definition to register",
        group="definition",
        max_items=2_000,
        lines=14,
        help="One feature view in YAML: name, entity, source, timestamp, owner and features are required. Durations in s, min, h or d.",
    )
    reason: str = param(
        "",
        title="Why it should stand beside the same",
        group="definition",
        max_items=200,
        help="A definition that computes what a published one does is refused unless you say why.",
    )

    @field_validator("definition")
    @classmethod
    def _readable(cls, text: str) -> str:
        FeatureView.from_yaml(text)
        return text

    @property
    def view(self) -> FeatureView:
        return FeatureView.from_yaml(self.definition)
