"""K models of one shape in training: their state, and the one loop that moves it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from scaling.corpora.corpus import Corpus
from scaling.corpora.sampler import Sampler
from scaling.study import Trunk
from scaling.sweeps.cost import evaluation_tokens
from scaling.sweeps.mode import PLAIN, Mode
from scaling.train import ranks
from scaling.train.fastpath import FastPath
from scaling.train.feed import Feed
from scaling.train.gradient import Gradient
from scaling.train.losses import NEXT_TOKEN, Batch, Loss, check
from scaling.train.model import Forward, initial_weights, matrix_views, rate_multipliers
from scaling.train.optim import AdamW, Muon


class Stack:
    """Weights, moments and step of K trunks; `fork` starts a branch from here without touching them."""

    def __init__(
        self,
        trunks: Sequence[Trunk],
        corpus: Corpus,
        device: torch.device,
        mode: Mode = PLAIN,
        *,
        loss: Loss = NEXT_TOKEN,
        batches: Callable[[int], Batch] | None = None,
        start: Tensor | None = None,
        samplers: Sequence[Sampler] | None = None,
    ):
        """On a device; by default to lower the loss of the next token of what the trunks' own samplers draw.

        Args:
            trunks: of one shape.
            corpus: whose text they read.
            device: where they live.
            mode: how steps are computed.
            loss: what is lowered.
            batches: what the loss reads at each step, for models that learn from something else.
            start: weights `[K, P]` to start from; drawn by each trunk's seed where there are none.
            samplers: of each trunk, where it reads other text than the corpus has.

        Raises:
            BadBatch, NoSuchHead, NothingToLearn, LossNotFinite: the loss cannot be trained on these batches.
        """
        self.trunks, self.corpus, self.device, self.mode = trunks, corpus, device, mode
        first = trunks[0]
        tokens_per_step = first.schedule.tokens_per_step
        self.shape = first.model
        self.samplers = samplers or [t.sampler(corpus) for t in trunks]
        self.forward = Forward(self.shape, device)
        self.net = FastPath(self.shape, device) if device.type == "cpu" else self.forward
        self.peak = torch.tensor([[t.optim.peak_lr] for t in trunks], device=device)
        drawn = initial_weights(self.shape, [t.weight_seed for t in trunks]) if start is None else start
        self.weights = drawn.to(device, copy=True)
        self.start = start
        """What later stages started from, the policy that a preference model judges."""
        rates = rate_multipliers(self.shape, first.optim.optimizer).to(device)
        beta2 = first.optim.beta2(tokens_per_step)
        pulls = {
            "weight_decay": torch.tensor([[t.optim.weight_decay] for t in trunks], device=device),
            "shrinkage": torch.tensor(
                [[t.optim.shrinkage(tokens_per_step) / t.optim.peak_lr] for t in trunks], device=device
            ),
        }
        self.optimizer = (
            Muon(self.weights, rates, self.shape, beta2=beta2, **pulls)
            if first.optim.optimizer == "muon"
            else AdamW(self.weights, rates, beta2=beta2, **pulls)
        )
        self.average = self.weights.clone() if first.schedule.average_gamma else None
        self.step = 0
        self.views = matrix_views(self.weights, self.shape)
        self.shared = dist.is_initialized()
        self.gradient = (ranks.SharedGradient if self.shared else Gradient)(self.weights, first, mode, loss)
        self.batches = batches or Feed(self.samplers, device)
        self.batch = {name: part.clone() for name, part in self.batches(0).items()}
        if batches or loss is not NEXT_TOKEN:
            check(loss, self.forward, self.views, self.batch)
        self.rate = torch.zeros_like(self.peak)
        self.fresh = torch.zeros((), device=device)
        self.restored = False
        self.recorded: torch.cuda.CUDAGraph | None = None

    def state(self) -> dict[str, Tensor]:
        """Everything that a resumed run needs beside the step."""
        state = {"weights": self.weights} | self.optimizer.state()
        return state if self.average is None else state | {"average": self.average}

    def restore(self, state: dict[str, Tensor], step: int) -> None:
        """Take over a saved state."""
        for name, mine in self.state().items():
            mine.copy_(state[name])
        self.step, self.restored = step, True

    def advance(
        self, to: int, share: Callable[[int], float], each: Callable[[], None] = lambda: None
    ) -> None:
        """Train up to step `to`; `share` gives the rate as a part of its peak, `each` is called after every step."""
        while self.step < to:
            of_peak = share(self.step)
            if self.shared:
                ranks.tell(self.step, of_peak, self.state() if self.restored else None)
                self.restored = False
            self._take(of_peak)
            self.step += 1
            each()

    def follow(self) -> None:
        """Take every step that the process with rank 0 takes, until it has ended."""
        while said := ranks.heard(self.state()):
            self.step, of_peak = said
            self._take(of_peak)

    def release(self) -> None:
        """Let the processes end that follow, where there are any."""
        if self.shared:
            ranks.release()

    def _take(self, of_peak: float) -> None:
        """The step that is next."""
        for name, part in self.batches(self.step).items():
            self.batch[name].copy_(part)
        torch.mul(self.peak, of_peak, out=self.rate)
        self.optimizer.count(self.step + 1)
        if self.average is not None:
            self.fresh.fill_(1 - average_decay(self.step + 1, self.trunks[0].schedule.average_gamma))
        if self.mode.graph:
            self._replay()
        else:
            self._move()

    def _move(self) -> None:
        """One step from what lies in fixed places on the device, so that a graph can hold it."""
        gradient = self.gradient.fill(self.batch)
        self.optimizer.step(self.weights, gradient, self.rate)
        if self.average is not None:
            self.average.lerp_(self.weights, self.fresh)

    def _replay(self) -> None:
        """`_move` from a graph, recorded at the first step; what the trial runs before it move is put back."""
        if self.recorded is None:
            before, aside = self.fork(), torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(3):
                    self._move()
            torch.cuda.current_stream().wait_stream(aside)
            self.recorded = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.recorded):
                self._move()
            self.restore(before, self.step)
        self.recorded.replay()

    def fork(self) -> dict[str, Tensor]:
        """A copy of the state, to come back to after a branch."""
        return {name: tensor.clone() for name, tensor in self.state().items()}

    def evaluate(self, windows: NDArray[np.int64], *, average: bool = False) -> NDArray[np.float64]:
        """Mean loss of every window for every model, or for its running average, `[K, windows]`, nats/token."""
        return self._evaluate(windows, lambda losses: losses.mean(2), average=average)

    def token_losses(self, windows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Loss of every predicted token for every model, `[K, windows, context]`, nats.

        Windows are those of all models, `[windows, context + 1]`, or each model's own, with K before that.
        """
        return self._evaluate(windows, lambda losses: losses)

    @torch.no_grad()
    def likeliest(self, windows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The most likely token at every place, for every model, `[K, windows, context]`."""
        logits = (self.forward.logits(self.views, tokens[:, :, :-1]) for tokens in self._chunks(windows))
        return torch.cat([each.argmax(-1).cpu() for each in logits], 1).numpy()

    def evaluate_ensembles(
        self, windows: NDArray[np.int64], ensembles: Sequence[Sequence[int]]
    ) -> NDArray[np.float64]:
        """Mean loss of every window under the mean of some models' probabilities, `[ensembles, windows]`, nats/token.

        The loss of a token is -log((p_1 + … + p_K) / K); it is never above the mean of the K losses.
        """

        def together(losses: Tensor) -> Tensor:
            mixed = [math.log(len(e)) - (-losses[list(e)]).logsumexp(0) for e in ensembles]
            return torch.stack(mixed).mean(2)

        return self._evaluate(windows, together)

    def _evaluate(
        self, windows: NDArray[np.int64], of: Callable[[Tensor], Tensor], *, average: bool = False
    ) -> NDArray[np.float64]:
        """Something made of the token losses `[K, windows, context]`, windows along its second axis."""
        views = matrix_views(self.average, self.shape) if average and self.average is not None else self.views
        parts = [of(self.net.token_losses(views, tokens)).double().cpu() for tokens in self._chunks(windows)]
        return torch.cat(parts, 1).numpy()

    def _chunks(self, windows: NDArray[np.int64]) -> Iterator[Tensor]:
        """As many windows as are evaluated at once, for every model, `[K, windows, context + 1]`."""
        models = len(self.trunks)
        tokens_at_once = evaluation_tokens(self.shape, models, gpu=self.device.type == "cuda")
        chunk = tokens_at_once // ((windows.shape[-1] - 1) * models)
        for start in range(0, windows.shape[-2], chunk):
            tokens = torch.from_numpy(windows[..., start : start + chunk, :]).to(self.device)
            yield tokens.expand(models, -1, -1)


def average_decay(step: int, gamma: float) -> float:
    """What the running average keeps at a step: (1 − 1/step)^(γ + 1).

    Its weight of a step t then grows as t^γ: an average over the last share of training, however long that was.

    Source:
        Karras et al. 2024, arXiv:2312.02696, equation 1 and section 3.1.
    """
    return (1 - 1 / step) ** (gamma + 1)
