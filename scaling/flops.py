"""Parameters and training FLOPs of a model shape, by component and by named convention. No torch.

A multiply and an add are two FLOPs; backward costs twice forward. Element-wise work (norms, softmax, activation) is
left out, as in every published convention. The conventions of the literature differ from each other by up to
2.3× at small widths, which is why the components are kept apart.
"""

from __future__ import annotations

from dataclasses import dataclass

from scaling.errors import BadValue

TRAIN_OVER_FORWARD = 3
"""Forward once, gradients with respect to inputs and to weights once each."""

MLP_RATIO = 4
"""Hidden units of the MLP for each unit of width."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A decoder-only transformer: untied embedding and head, attention and a two-matrix MLP in every block.

    Raises:
        BadValue: a size is not positive, or the width is not a multiple of the head size.
    """

    width: int
    depth: int = 2
    head_dim: int = 16
    context: int = 128
    """Tokens in a window."""
    vocabulary: int = 256

    def __post_init__(self) -> None:
        for key in ("width", "depth", "head_dim", "context", "vocabulary"):
            if getattr(self, key) < 1:
                raise BadValue("model shape", key, getattr(self, key), "at least 1")
        if self.width % self.head_dim:
            raise BadValue("model shape", "width", self.width, f"a multiple of head_dim = {self.head_dim}")

    @property
    def heads(self) -> int:
        """Attention heads in a block."""
        return self.width // self.head_dim


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Weights of a model by component."""

    matrices: int
    """Inside the blocks: 12 · depth · width² for an MLP of four widths. This is N."""
    embedding: int
    head: int

    @property
    def total(self) -> int:
        """Everything that is trained."""
        return self.matrices + self.embedding + self.head


def count_parameters(shape: Shape) -> Parameters:
    """Weights of a model of this shape; norms have none."""
    per_block = (4 + 2 * MLP_RATIO) * shape.width**2
    table = shape.vocabulary * shape.width
    return Parameters(matrices=shape.depth * per_block, embedding=table, head=table)


@dataclass(frozen=True, kw_only=True)
class Flops:
    """FLOPs by component, for as many tokens as were asked for."""

    matrices: float
    attention_causal: float
    """Scores and weighted values over the positions a token may see, (T + 1) / 2 on average."""
    attention_full: float
    """The same as if every token saw all T positions, as a kernel without a causal shortcut computes it."""
    head: float

    @property
    def total(self) -> float:
        """C of the store: matrix products, causal attention, head."""
        return self.matrices + self.attention_causal + self.head


def count_flops(shape: Shape, tokens: float = 1) -> Flops:
    """Training FLOPs (forward and backward) for that many tokens in windows of `shape.context`.

        matrices  6 N
        attention 6 · depth · width · (T + 1)   causal,   12 · depth · width · T   full
        head      6 · width · vocabulary                                           each per token

    The embedding is a look-up and costs none.

    Source:
        Kaplan et al. 2020, arXiv:2001.08361, table 1, and Hoffmann et al. 2022, arXiv:2203.15556, appendix F, for the
        components; the causal count is their full one over the visible half.
    """
    per_token = TRAIN_OVER_FORWARD * tokens
    return Flops(
        matrices=per_token * 2 * count_parameters(shape).matrices,
        attention_causal=per_token * 2 * shape.depth * shape.width * (shape.context + 1),
        attention_full=per_token * 4 * shape.depth * shape.width * shape.context,
        head=per_token * 2 * shape.width * shape.vocabulary,
    )


CONVENTIONS = {
    "exact": lambda shape, tokens: count_flops(shape, tokens).total,
    "6ND": lambda shape, tokens: 6 * count_parameters(shape).matrices * tokens,
    "6ND total": lambda shape, tokens: 6 * count_parameters(shape).total * tokens,
    "hoffmann": lambda shape, tokens: (
        count_flops(shape, tokens).matrices
        + count_flops(shape, tokens).attention_full
        + 2 * count_flops(shape, tokens).head  # Hoffmann et al. count the embedding as a matrix product
    ),
}
"""FLOPs of a model and a token count under each convention of the field, by name."""
