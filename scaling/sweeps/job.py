"""What a device is asked to do for a step, chosen by the launcher: no torch here."""

from __future__ import annotations

from dataclasses import dataclass

from scaling.errors import BadOption

PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True, kw_only=True)
class Mode:
    """How steps are computed; beyond rounding, none of it changes what is computed."""

    precision: str = "fp32"
    """Of activations and products; weights, moments, norms, softmax and the sum over passes are fp32 in any case."""
    passes: int = 1
    """Parts of a batch, one after another, where its activations do not fit into memory at once."""
    graph: bool = False
    """Record the whole step as a CUDA graph: small models on a GPU wait for the CPU otherwise."""
    compile: bool = False
    """Fuse element-wise work by torch.compile, which takes ten seconds and more for each shape."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a user may say of it; the rest follows from the device and the model.

    Raises:
        BadOption: a precision that there is not, or no rank.
    """

    precision: str = "auto"
    """"auto" is bf16 on a GPU, fp32 elsewhere."""
    graph: bool = True
    """On a GPU, where a run is not spread over several."""
    compile: bool = False
    ranks: int = 1
    """Processes, each with its GPU, that compute one stack's gradients together."""

    def __post_init__(self) -> None:
        if self.precision not in ("auto", *PRECISIONS):
            raise BadOption("precision", self.precision, " or ".join(map(repr, ("auto", *PRECISIONS))))
        if self.ranks < 1:
            raise BadOption("ranks", self.ranks, "at least 1")

    def mode(self, passes: int, *, gpu: bool) -> Mode:
        """For a stack that needs so many passes."""
        automatic = "bf16" if gpu else "fp32"
        return Mode(
            precision=automatic if self.precision == "auto" else self.precision,
            passes=passes,
            graph=self.graph and gpu and self.ranks == 1,
            compile=self.compile,
        )
