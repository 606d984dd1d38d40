"""A decoder-only transformer small enough to serve on one core: RoPE, RMSNorm, gated MLP, grouped query heads, keys and values in pages.

Llama's layout (Touvron et al. 2023) in nanoGPT's manner. `forward` is the whole model; where it keeps keys and values is the business of
`paged.PagedKV`, so the same code trains (no pages, one causal block) and serves (any mix of prompt chunks and single tokens).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simulators.engines.serving.tiny.language import VOCABULARY
from simulators.errors import InvalidInput

WEIGHTS = Path(__file__).parent / "weights"
MAX_POSITIONS = 4096
ROPE_BASE = 10_000.0


@dataclass(frozen=True)
class Shape:
    d: int = 256
    layers: int = 4
    q_heads: int = 8
    kv_heads: int = 2
    mlp: int = 768

    @property
    def head_dim(self) -> int:
        return self.d // self.q_heads

    @property
    def group(self) -> int:
        """Query heads that share one key and value head."""
        return self.q_heads // self.kv_heads


TARGET = Shape()
DRAFT = Shape(d=96, layers=1, q_heads=3, kv_heads=1, mlp=288)


class Attend(Protocol):
    """Attention of one layer over a step's T tokens: q (T, q_heads, head_dim), k and v (T, kv_heads, head_dim) -> (T, d)."""

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor: ...


class Layer(nn.Module):
    def __init__(self, shape: Shape, index: int) -> None:
        super().__init__()
        self.shape, self.index = shape, index
        self.norm_attention, self.norm_mlp = nn.RMSNorm(shape.d), nn.RMSNorm(shape.d)
        self.qkv = nn.Linear(shape.d, (shape.q_heads + 2 * shape.kv_heads) * shape.head_dim, bias=False)
        self.out = nn.Linear(shape.d, shape.d, bias=False)
        self.gate_up = nn.Linear(shape.d, 2 * shape.mlp, bias=False)
        self.down = nn.Linear(shape.mlp, shape.d, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, attend: Attend) -> Tensor:
        """x (T, d): one row a token, whichever sequence it belongs to."""
        q_heads, kv_heads = self.shape.q_heads, self.shape.kv_heads
        heads = self.qkv(self.norm_attention(x)).view(len(x), q_heads + 2 * kv_heads, self.shape.head_dim)
        qk = rotate(heads[:, : q_heads + kv_heads], cos, sin)
        x = x + self.out(attend(self.index, qk[:, :q_heads], qk[:, q_heads:], heads[:, q_heads + kv_heads :]))
        gate, up = self.gate_up(self.norm_mlp(x)).chunk(2, dim=-1)
        mixed: Tensor = x + self.down(F.silu(gate) * up)
        return mixed


class TinyLM(nn.Module):
    """The language model: `TinyLM.load("target")`, or "draft", or "weak_draft" (a draft whose training was cut short)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(VOCABULARY, shape.d)
        self.layers = nn.ModuleList(Layer(shape, index) for index in range(shape.layers))
        self.norm = nn.RMSNorm(shape.d)
        self.head = nn.Linear(shape.d, VOCABULARY, bias=False)
        cos, sin = rope_tables(shape.head_dim)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def forward(self, tokens: Tensor, positions: Tensor, attend: Attend, rows: Tensor | None = None) -> Tensor:
        """Logits (len(rows) or T, VOCABULARY) of tokens (T,) at positions (T,); `rows` are those whose next token is wanted."""
        x = self.embedding(tokens)
        cos, sin = self.cos[positions, None], self.sin[positions, None]  # type: ignore[index]  # buffers, (T, 1, head_dim)
        for layer in self.layers:
            x = layer(x, cos, sin, attend)
        return self.head(self.norm(x if rows is None else x[rows]))  # type: ignore[no-any-return]

    @classmethod
    def load(cls, name: str) -> TinyLM:
        """The shipped weights `name`, as float32, ready to serve. Raises InvalidInput naming what there is."""
        path = WEIGHTS / f"{name}.npz"
        if not path.is_file():
            raise InvalidInput(
                f"There are no weights {name!r}; there are {', '.join(sorted(file.stem for file in WEIGHTS.glob('*.npz')))}."
            )
        torch.set_num_threads(1)
        with np.load(path) as arrays:
            model = cls(Shape(**{key.removeprefix("shape."): int(arrays[key]) for key in arrays.files if key.startswith("shape.")}))
            state = {key: torch.from_numpy(arrays[key].astype(np.float32)) for key in arrays.files if not key.startswith("shape.")}
        model.load_state_dict(state)
        return model.eval().requires_grad_(False)

    def save(self, path: Path) -> None:
        """Half precision, without pickle: an archive of plain arrays."""
        shape = {f"shape.{key}": np.int64(value) for key, value in asdict(self.shape).items()}
        weights = {key: value.numpy().astype(np.float16) for key, value in self.state_dict().items()}
        np.savez_compressed(path, allow_pickle=False, **shape, **weights)


def rope_tables(head_dim: int) -> tuple[Tensor, Tensor]:
    """cos and sin (MAX_POSITIONS, head_dim) of rotary embeddings (Su et al. 2021)."""
    frequency = ROPE_BASE ** (-torch.arange(0, head_dim, 2) / head_dim)
    angle = torch.outer(torch.arange(MAX_POSITIONS), frequency)
    return torch.cat([angle.cos()] * 2, dim=-1), torch.cat([angle.sin()] * 2, dim=-1)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    left, right = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-right, left], dim=-1) * sin


class WholeTexts:
    """Causal attention over `batch` whole texts of equal length, laid end to end: training, and the reference the pages are tested with."""

    def __init__(self, batch: int) -> None:
        self.batch = batch

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q_heads, k_heads, v_heads = (rows.view(self.batch, -1, *rows.shape[1:]).transpose(1, 2) for rows in (q, k, v))
        mixed = F.scaled_dot_product_attention(q_heads, k_heads, v_heads, is_causal=True, enable_gqa=True)
        return mixed.transpose(1, 2).reshape(len(q), -1)


def text_logits(model: TinyLM, texts: Tensor) -> Tensor:
    """Next-token logits (batch, length, VOCABULARY) of texts (batch, length), without any cache."""
    batch, length = texts.shape
    positions = torch.arange(length).repeat(batch)
    logits: Tensor = model(texts.reshape(-1), positions, WholeTexts(batch))
    return logits.view(batch, length, -1)
