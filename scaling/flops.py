"""Parameters and training FLOPs of a model shape, by component and by named convention. No torch.

A multiply and an add are two FLOPs; backward costs twice forward. Element-wise work (norms, softmax, activation) is
left out, as in every published convention. The conventions of the literature differ from each other by up to
2.3× at small widths, which is why the components are kept apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from scaling.arguments import checked
from scaling.errors import BadValue, require

TRAIN_OVER_FORWARD = 3
"""Forward once, gradients with respect to inputs and to weights once each."""

MLP_RATIO = 4
"""Hidden units of the MLP for each unit of width."""

WIDTH_PER_DEPTH = 64
"""Width over depth on the ladder, as in the GPT-2 family."""
MINIMUM_DEPTH = 2
HEAD_DIM, WIDE_HEAD_DIM = 16, 64
WIDE = 512
"""Width from which a model of the ladder has wide heads, whose multiples are then within 7 % of any width."""
ACTIVATIONS = ("relu2", "swiglu")


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A decoder-only transformer: untied embedding and head, attention and a two-matrix MLP in every block.

    Raises:
        BadValue: a size is too small, the head size is odd, or the width is not a multiple of it.
    """

    width: int
    depth: int = 2
    head_dim: int = 16
    context: int = 128
    """Tokens in a window."""
    vocabulary: int = 256
    activation: str = "relu2"
    """"relu2", the squared ReLU between two matrices, or "swiglu", a gate in a third; about as many weights."""
    neighbours: int = 0
    """Tokens before each one whose embeddings are added to its own, each channel times a coefficient of its own for
    every distance; with 2 a model of two blocks learns to look things up in a tenth of the tokens."""
    score_head: bool = False
    """A second head beside the vocabulary's: one number at every place, as a reward model gives."""

    def __post_init__(self) -> None:
        sizes = {
            "head_dim": 2,
            "width": 1,
            "depth": MINIMUM_DEPTH,
            "context": 1,
            "vocabulary": 1,
            "neighbours": 0,
        }
        rules = {key: (getattr(self, key) >= least, f"at least {least}") for key, least in sizes.items()}
        activation = (self.activation in ACTIVATIONS, " or ".join(ACTIVATIONS))
        require(self, "model shape", activation=activation, **rules)
        require(
            self,
            "model shape",
            head_dim=(self.head_dim % 2 == 0, "even: rotary positions turn pairs"),
            width=(self.width % self.head_dim == 0, f"a multiple of head_dim = {self.head_dim}"),
        )

    @property
    def heads(self) -> int:
        """Attention heads in a block."""
        return self.width // self.head_dim

    @property
    def mlp_width(self) -> int:
        """Hidden units of the MLP; with a gate two thirds as many, a multiple of 8, so that the weights stay alike."""
        return (
            MLP_RATIO * self.width if self.activation == "relu2" else 8 * round(MLP_RATIO * self.width / 12)
        )

    @property
    def mlp_matrices(self) -> int:
        """Matrices of the MLP: in and out, and the gate."""
        return 2 if self.activation == "relu2" else 3


@checked
def ladder(
    N: float,
    *,
    depth: int | None = None,
    head_dim: int | None = None,
    context: int = 128,
    vocabulary: int = 256,
) -> Shape:
    """The shape with about N weights inside its blocks, from 5 thousand to 1.5 billion, by one rule.

        N = 12 · depth · width²,   width ≈ 64 · depth,   depth ≥ 2,   width a multiple of head_dim

    At N = 85M this is GPT-2's smallest model, depth 12 and width 768. Up to 700 thousand weights it is two blocks whose
    width grows, so that tiny models differ in one thing only. Whole heads leave N a little off: at 124M the rule's
    width is 859 and the shape's 832, which with 14 blocks are 116.3M weights.

    Args:
        N: weights of the matrices inside the blocks.
        depth: blocks, where they should not follow the rule.
        head_dim: width of a head; None is the 64 of the GPT-2 family from width 512 on, and 16 below.
        context, vocabulary: as in `Shape`.

    Raises:
        BadValue: N is too small for one head in each of two blocks, or another size is as `Shape` refuses it.
    """
    if not 0 < N < math.inf:
        raise BadValue("ladder", "N", N, "a number of parameters above zero")
    by_rule = max(MINIMUM_DEPTH, round((N / (12 * WIDTH_PER_DEPTH**2)) ** (1 / 3)))
    blocks = by_rule if depth is None else depth
    width = (N / (12 * max(blocks, 1))) ** 0.5
    if head_dim is None:
        head_dim = HEAD_DIM if width < WIDE else WIDE_HEAD_DIM
    one_head = Shape(width=head_dim, depth=blocks, head_dim=head_dim, context=context, vocabulary=vocabulary)
    heads = round(width / head_dim)
    if heads < 1:
        least = round(3 * blocks * head_dim**2)
        raise BadValue("ladder", "N", N, f"at least {least:,} at head_dim = {head_dim}")
    return replace(one_head, width=heads * head_dim)


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
    per_block = 4 * shape.width**2 + shape.mlp_matrices * shape.width * shape.mlp_width
    table = shape.vocabulary * shape.width
    score = shape.width if shape.score_head else 0
    mix = shape.neighbours * shape.width
    return Parameters(matrices=shape.depth * per_block, embedding=table + mix, head=table + score)


@dataclass(frozen=True, kw_only=True)
class Flops:
    """FLOPs by component, for as many tokens as were asked for."""

    matrices: float
    attention_causal: float
    """Scores and weighted values over the positions a token may see, (T + 1) / 2 on average."""
    attention_full: float
    """The same as if every token saw all T positions, as a kernel without a causal shortcut computes it."""
    head: float
    embedding: float = 0.0
    """Always 0: the embedding is a look-up, no matrix product; its weights are in `Parameters.embedding`. Conventions
    that count it as a product with one-hot rows take as much as for the head."""

    @property
    def total(self) -> float:
        """C of the store: matrix products, causal attention, head; not the embedding, however it is counted."""
        return self.matrices + self.attention_causal + self.head


def count_flops(shape: Shape, tokens: float = 1) -> Flops:
    """Training FLOPs (forward and backward) for that many tokens in windows of `shape.context`.

        matrices  6 N
        attention 6 · depth · width · (T + 1)   causal,   12 · depth · width · T   full
        head      6 · width · vocabulary
        embedding 0, a look-up                                                     each per token

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
