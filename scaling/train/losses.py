"""What a stack is trained to lower: sums over a batch, as functions of the model and of what the batch holds.

A batch is a dictionary of tensors whose first two axes are models and windows, so that it can be cut along both. A loss
says which tensors it reads, what its sum is divided by, and the sum itself; autograd does the rest.

    class Focal:
        reads = ("tokens",)

        def total(self, batch): ...                # [K]
        def summed(self, net, weights, batch): ... # [K]
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from scaling.errors import TrainError
from scaling.train.model import Forward, Weights, wide

Batch = Mapping[str, Tensor]


class NothingToLearn(TrainError):
    """A batch in which some model has nothing to be trained on."""

    reads: str
    model: int

    def __str__(self) -> str:
        return (
            f"asked to train on {self.reads} that weigh nothing for model {self.model} of the stack. "
            "Give at least one token a weight above zero in every batch."
        )


class BadBatch(TrainError):
    """A batch that lacks a tensor, or has one of another shape than its stack and its loss need."""

    name: str
    shape: tuple[int, ...] | None
    wanted: str

    def __str__(self) -> str:
        given = "there is none" if self.shape is None else f"its shape is {list(self.shape)}"
        return (
            f"the batch's {self.name!r} must be {self.wanted}, and {given}. Build the batch for this stack."
        )


class LossNotFinite(TrainError):
    """A loss without a value before the first step."""

    loss: str
    model: int
    value: float

    def __str__(self) -> str:
        return (
            f"{self.loss} of model {self.model} is {self.value} before the first step. "
            "Look for zeros under a logarithm, and for targets or weights that are not finite."
        )


class Loss(Protocol):
    """A sum over the windows of a batch and what it is divided by, for each of K models."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Tensors of the batch, the tokens first."""
        ...

    def total(self, batch: Batch) -> Tensor:
        """What the sum over the whole batch is divided by, `[K]`."""
        ...

    def summed(self, net: Forward, weights: Weights, batch: Batch) -> Tensor:
        """The sum over some of the windows, `[K]`; any torch code that autograd and the compiler take."""
        ...


class NextToken:
    """Mean cross-entropy of every next token, nats/token; `tokens` is `[K, windows, places + 1]`, int64."""

    reads = ("tokens",)

    def total(self, batch: Batch) -> Tensor:
        predicted = batch["tokens"][:, :, 1:]
        return predicted.new_full((len(predicted),), predicted[0].numel(), dtype=torch.float32)

    def summed(self, net: Forward, weights: Weights, batch: Batch) -> Tensor:
        return net.token_losses(weights, batch["tokens"]).flatten(1).sum(1)


class WeightedTokens:
    """Mean cross-entropy under a weight for every predicted token, as when only an answer is to be learned.

        Σ w_t CE_t / Σ w_t

    `tokens` is `[K, windows, places + 1]`, `weights` `[K, windows, places]`, at least zero.
    """

    reads = ("tokens", "weights")

    def total(self, batch: Batch) -> Tensor:
        return wide(batch["weights"]).flatten(1).sum(1)

    def summed(self, net: Forward, weights: Weights, batch: Batch) -> Tensor:
        losses = net.token_losses(weights, batch["tokens"])
        return (losses * batch["weights"]).flatten(1).sum(1)


class SoftTargets:
    """Mean cross-entropy against a distribution over the vocabulary for every place, as in distillation.

        −Σ_t Σ_v p_tv log q_tv / places

    `inputs` is `[K, windows, places]`, int64, `targets` `[K, windows, places, vocabulary]`, one at each place in sum.
    """

    reads = ("inputs", "targets")

    def total(self, batch: Batch) -> Tensor:
        inputs = batch["inputs"]
        return inputs.new_full((len(inputs),), inputs[0].numel(), dtype=torch.float32)

    def summed(self, net: Forward, weights: Weights, batch: Batch) -> Tensor:
        likely = F.log_softmax(wide(net.logits(weights, batch["inputs"])), -1)
        return -(batch["targets"] * likely).flatten(1).sum(1)


class Preferences:
    """Mean Bradley–Terry loss of pairs, the chosen first: a reward model on the `score` head.

        −log σ(r_chosen − r_rejected)

    `inputs` is `[K, pairs, 2, places]`, int64; `last` `[K, pairs, 2]` the place whose score counts.

    Source:
        Ouyang et al. 2022, arXiv:2203.02155, equation 1.
    """

    reads = ("inputs", "last")

    def total(self, batch: Batch) -> Tensor:
        last = batch["last"]
        return last.new_full((len(last),), last.shape[1], dtype=torch.float32)

    def summed(self, net: Forward, weights: Weights, batch: Batch) -> Tensor:
        scores = net.scores(weights, batch["inputs"].flatten(1, 2), batch["last"].flatten(1, 2))
        chosen, rejected = scores.unflatten(1, (-1, 2)).unbind(2)
        return -F.logsigmoid(chosen - rejected).sum(1)


class DirectPreferences:
    """Mean loss of direct preference optimisation on pairs, the chosen first: a policy held to its parent.

        −log σ(β [(log π(chosen) − log π₀(chosen)) − (log π(rejected) − log π₀(rejected))])

    It is the Bradley–Terry loss of the reward whose best policy, at a price of β for a nat of divergence from the
    parent π₀, is π. `inputs` and `last` are as in `Preferences`, an answer's last token at `last`; `reference` is what
    `log_probabilities` says under the parent, `[K, pairs, 2]`.

    Source:
        Rafailov et al. 2023, arXiv:2305.18290, equation 7.
    """

    reads = ("inputs", "last", "reference")

    def __init__(self, kl_weight: float):
        self.kl_weight = kl_weight

    def total(self, batch: Batch) -> Tensor:
        return Preferences().total(batch)

    def summed(self, net: Forward, weights: Weights, batch: Batch) -> Tensor:
        likely = log_probabilities(net, weights, batch["inputs"], batch["last"])
        chosen, rejected = (likely - batch["reference"]).unbind(2)
        return -F.logsigmoid(self.kl_weight * (chosen - rejected)).sum(1)


def log_probabilities(net: Forward, weights: Weights, inputs: Tensor, last: Tensor) -> Tensor:
    """Of the tokens behind the first of each text up to its last one, nats, `[K, pairs, 2]`.

    The request is the same in both texts of a pair, so it falls out of their difference.
    """
    losses = net.token_losses(weights, inputs.flatten(1, 2)).unflatten(1, inputs.shape[1:3])
    places = torch.arange(losses.shape[3], device=losses.device)
    return -(losses * (places < last[..., None])).sum(3)


NEXT_TOKEN = NextToken()


def check(loss: Loss, net: Forward, weights: Weights, batch: Batch) -> None:
    """Refuse a batch that a loss cannot be trained on, before the first step.

    Raises:
        BadBatch: a tensor is missing, or its models, windows or tokens are not the stack's.
        NoSuchHead: the loss reads a head that the models do not have.
        NothingToLearn: some model's weights are all zero.
        LossNotFinite: the loss has no finite value at the starting weights.
    """
    models = len(weights["embedding"])
    first = batch.get(loss.reads[0])
    for name in loss.reads:
        part = batch.get(name)
        windows = "" if first is None or first.ndim < 2 else f" of {first.shape[1]} windows"
        wanted = f"a tensor for {models} models{windows}"
        if part is None or part.ndim < 2 or first is None or part.shape[:2] != (models, first.shape[1]):
            raise BadBatch(name, None if part is None else tuple(part.shape), wanted)
    tokens = batch[loss.reads[0]]
    if tokens.is_floating_point() or int(tokens.min()) < 0 or int(tokens.max()) >= net.shape.vocabulary:
        raise BadBatch(loss.reads[0], tuple(tokens.shape), f"whole numbers below {net.shape.vocabulary}")
    total = loss.total(batch)
    for model in torch.nonzero(~(total > 0)).flatten().tolist():
        raise NothingToLearn(" and ".join(loss.reads), model)
    with torch.no_grad():
        values = loss.summed(net, weights, batch) / total
    for model in torch.nonzero(~torch.isfinite(values)).flatten().tolist():
        raise LossNotFinite(type(loss).__name__, model, float(values[model]))
