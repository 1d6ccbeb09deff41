"""How the steps of a stack are computed; beyond rounding, none of it changes what is computed."""

from __future__ import annotations

from dataclasses import dataclass

PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True, kw_only=True)
class Mode:
    """What a worker is told of how to compute."""

    precision: str = "fp32"
    """Of activations and products; weights, moments, norms, softmax and the sum over passes are fp32 in any case."""
    passes: int = 1
    """Parts of a batch, one after another, where its activations do not fit into memory at once."""
    recompute: bool = False
    """Keep what goes into each block alone, and compute the rest again on the way back: a third more work, for one
    window that does not fit into memory."""
    graph: bool = False
    """Record the whole step as a CUDA graph: small models on a GPU wait for the CPU otherwise."""
    compile: bool = False
    """Fuse element-wise work by torch.compile, which takes ten seconds and more for each shape."""


PLAIN = Mode()
"""A whole batch at once in single precision."""
