"""Parameters of the lab `ctr_models`."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args

from pydantic import model_validator

from simulators.lab import LabParams, param

Design = Literal[
    "lr",
    "fm",
    "deepfm",
    "dlrm",
    "dlrm_history",
    "dcnv2",
    "dcnv2_history",
    "masknet",
    "masknet_history",
    "lightgbm",
    "lightgbm_history",
]
DESIGNS: tuple[Design, ...] = get_args(Design)


class Kind(NamedTuple):
    """What a design trains; `us_per_row` and `us_per_step` bound its cost on a slow core."""

    kind: str
    history: bool
    short: str
    us_per_row: float
    us_per_step: float


KINDS: dict[Design, Kind] = {
    "lr": Kind("lr", False, "LR", 1.5, 900),
    "fm": Kind("fm", False, "FM", 2.5, 1200),
    "deepfm": Kind("deepfm", False, "DeepFM", 4, 1800),
    "dlrm": Kind("dlrm", False, "DLRM", 5, 2200),
    "dlrm_history": Kind("dlrm", True, "DLRM + history", 9, 3000),
    "dcnv2": Kind("dcnv2", False, "DCN-V2", 5, 2000),
    "dcnv2_history": Kind("dcnv2", True, "DCN-V2 + history", 9, 3000),
    "masknet": Kind("masknet", False, "MaskNet", 14, 2600),
    "masknet_history": Kind("masknet", True, "MaskNet + history", 18, 3400),
    "lightgbm": Kind("lightgbm", False, "LightGBM", 9, 0),
    "lightgbm_history": Kind("lightgbm", True, "LightGBM + match", 9, 0),
}
LABELS: dict[str, str] = {
    "lr": "logistic regression",
    "fm": "factorisation machine",
    "deepfm": "DeepFM",
    "dlrm": "DLRM",
    "dlrm_history": "DLRM + history",
    "dcnv2": "DCN-V2",
    "dcnv2_history": "DCN-V2 + history",
    "masknet": "MaskNet",
    "masknet_history": "MaskNet + history",
    "lightgbm": "LightGBM",
    "lightgbm_history": "LightGBM + a match feature",
}
MOST_S = 40.0  # of one slow core


class CtrParams(LabParams):
    model: Design = param(
        "dlrm_history",
        title="Model in production",
        group="model",
        labels=LABELS,
        help="Whose predictions the auction would use; the tiles are about it.",
    )
    models: tuple[Design, ...] = param(
        ("lr", "dlrm", "lightgbm"),
        title="Compared with",
        group="model",
        labels=LABELS,
        max_items=3,
        help="Up to three more, trained on the same rows.",
    )
    dim: int = param(8, title="Embedding width", unit="numbers", ge=2, le=64, scale="log", group="model", help="Numbers an id.")
    history: Literal["none", "mean", "din"] = param(
        "din",
        title="History",
        group="model",
        labels={"none": "not used", "mean": "mean of the entries", "din": "attention to the candidate (DIN)"},
        help="How the models that take the user's last eight categories pool them.",
    )
    cross_rank: int = param(
        16,
        title="Rank of the crosses",
        unit="rank, 0 = full",
        ge=0,
        le=128,
        group="model",
        shown_when={"model": ["dcnv2", "dcnv2_history"]},
        help="DCN-V2's cross matrices as a product of two narrow ones.",
    )
    buckets: int = param(
        0,
        title="Hash buckets a field",
        unit="buckets, 0 = none",
        ge=0,
        le=1_000_000,
        soft=(0, 3000),
        group="table",
        help="Fields with more ids than this share rows of the table. Own files: 0 stands for 100,000.",
    )
    table_lr: float = param(
        0.08,
        title="Table's learning rate",
        unit="step",
        ge=1e-4,
        le=1,
        scale="log",
        group="training",
        help="Of the row-wise Adagrad on the embedding table.",
    )
    dense_lr: float = param(
        3e-3, title="Net's learning rate", unit="step", ge=1e-4, le=1, scale="log", group="training", help="Of Adam on the dense net."
    )
    epochs: int = param(1, title="Passes", unit="passes", ge=1, le=8, group="training", help="How often each row is learned from.")
    batch: int = param(512, title="Batch", unit="rows", ge=64, le=8192, scale="log", group="training", help="Rows a step.")
    keep_negatives: float = param(
        1.0,
        title="Negatives kept",
        unit="share",
        ge=0.001,
        le=1,
        scale="log",
        group="training",
        help="Share of the rows without a click that is trained on.",
    )
    correct_sampling: bool = param(
        True, title="Correct the sampling", group="training", help="p / (p + (1 - p) / share kept) on every prediction."
    )
    recalibrate: bool = param(
        False,
        title="Recalibrate",
        group="training",
        help="Platt's sigmoid on the latest tenth of the training rows, which is then not trained on.",
    )
    ad_content: bool = param(
        True,
        title="Ad content",
        group="cold start",
        help="Advertiser and category as fields beside the ad's id. Without the category there is nothing to match the history with.",
    )
    share_id_below: int = param(
        0,
        title="Share one id below",
        unit="impressions",
        ge=0,
        le=1000,
        soft=(0, 200),
        group="cold start",
        help="Ads with fewer training impressions get one id together.",
    )
    rows: int = param(
        200_000,
        title="Training rows",
        unit="rows",
        ge=10_000,
        le=2_000_000,
        scale="log",
        group="world",
        help="Impressions before the test; 30,000 later ones are the test.",
    )
    base_logit: float = param(
        -3.6,
        title="Base rate",
        unit="log-odds",
        ge=-9,
        le=0,
        step=0.1,
        group="world",
        help="-3.6 gives 8 to 11 % clicks, -7.5 about half a percent.",
    )
    truth: Literal["inner_product", "crosses", "wide"] = param(
        "inner_product",
        title="Truth",
        group="world",
        labels={
            "inner_product": "inner products of hidden vectors",
            "crosses": "products of single coordinates",
            "wide": "twenty fields, up to as many ids as rows",
        },
        help="How fields meet in the world. The winner depends on it. The wide world has no history.",
    )
    bf16: Literal["auto", "on", "off"] = param(
        "auto",
        title="bfloat16 in the net",
        group="speed",
        labels={"auto": "where the machine gains from it", "on": "on", "off": "off"},
        help="Half precision in the dense step; the table stays in single precision.",
    )

    @model_validator(mode="after")
    def _affordable(self) -> CtrParams:
        cost = self.cost_s(self.rows)
        if cost > MOST_S:
            raise ValueError(
                f"{self.rows:,} rows x {self.epochs} passes in batches of {self.batch} for {len(self.designs)} models take about "
                f"{cost:.0f} s "
                f"of one core; expected {MOST_S:.0f} s or less: take fewer rows, passes or models, or a larger batch."
            )
        return self

    @property
    def designs(self) -> tuple[Design, ...]:
        """The one in production first."""
        return (self.model, *(design for design in self.models if design != self.model))

    def cost_s(self, rows: int) -> float:
        """An upper estimate of the training."""
        wider = max(1.0, self.dim / 16)
        of = [KINDS[design] for design in self.designs]
        seen = rows * self.epochs
        return sum(seen * kind.us_per_row * wider + seen / self.batch * kind.us_per_step for kind in of) / 1e6


def short(design: Any) -> str:
    return KINDS[design].short
