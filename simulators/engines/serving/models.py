"""Language models as a cost model sees them: shapes from their public config.json, parameters counted from those shapes."""

from __future__ import annotations

from dataclasses import dataclass

from simulators.engines.serving.names import find_by_name
from simulators.errors import InvalidInput

BILLION = 1e9
# Bytes a number takes. INT4 is for weights only: activations and arithmetic stay BF16.
WEIGHT_BYTES = {"bf16": 2.0, "fp8": 1.0, "int4": 0.5}
KV_BYTES = {"bf16": 2.0, "fp8": 1.0}


@dataclass(frozen=True)
class Model:
    """`head_dim` is the mean of the key's and the value's width: what 4 x q_heads x head_dim FLOP a pair of tokens needs.

    Mixture of experts: `expert_params` of `params` lie in `experts` experts, of which a token uses `experts_per_token`.
    Multi-head latent attention (DeepSeek-V2, 2024): `latent_dim` numbers a layer and token (rank + RoPE part) instead of keys and values;
    every GPU of a tensor-parallel group keeps them all, as if there were one KV head.
    """

    name: str
    params: float
    layers: int
    hidden: int
    q_heads: int
    kv_heads: int
    head_dim: float = 128
    active_params: float = 0.0  # 0 = all
    expert_params: float = 0.0
    experts: int = 1
    experts_per_token: int = 1
    latent_dim: int = 0

    @property
    def params_per_token(self) -> float:
        return self.active_params or self.params

    def kv_bytes_per_token(self, kv: str = "bf16") -> float:
        """Keys and values of one token in all layers [bytes], one copy. Raises InvalidInput for an unknown format."""
        per_layer = self.latent_dim or 2 * self.kv_heads * self.head_dim
        return self.layers * per_layer * bytes_of("kv", kv, KV_BYTES)

    def weight_bytes(self, weights: str = "bf16") -> float:
        return self.params * bytes_of("weights", weights, WEIGHT_BYTES)


def bytes_of(what: str, number_format: str, known: dict[str, float]) -> float:
    if number_format not in known:
        raise InvalidInput(f"{what} format {number_format!r} is unknown; expected one of {', '.join(known)}.", field=what)
    return known[number_format]


# DeepSeek-V3's keys are 192 wide and its values 128, hence 160.
MODELS: dict[str, Model] = {
    model.name: model
    for model in (
        Model("Llama-2-7B", 6.74 * BILLION, 32, 4096, 32, 32),
        Model("Llama-3.1-8B", 8.03 * BILLION, 32, 4096, 32, 8),
        Model("CodeLlama-34B", 33.74 * BILLION, 48, 8192, 64, 8),
        Model("Qwen3-32B", 32.76 * BILLION, 64, 5120, 64, 8),
        Model("Llama-3.1-70B", 70.55 * BILLION, 80, 8192, 64, 8),
        Model("Llama-3.1-405B", 405.85 * BILLION, 126, 16384, 128, 8),
        Model("Qwen3-30B-A3B", 30.53 * BILLION, 48, 2048, 32, 4, 128, 3.35 * BILLION, 28.99 * BILLION, 128, 8),
        Model("gpt-oss-120b", 116.83 * BILLION, 36, 2880, 64, 8, 64, 5.13 * BILLION, 114.66 * BILLION, 128, 4),
        Model("DeepSeek-V3", 671.03 * BILLION, 61, 7168, 128, 1, 160, 37.55 * BILLION, 653.91 * BILLION, 256, 8, 512 + 64),
    )
}


def find_model(name: str | Model) -> Model:
    """By name, or an unambiguous part of it such as "70B". Raises InvalidInput with the known names."""
    return name if isinstance(name, Model) else find_by_name("model", name, MODELS)
