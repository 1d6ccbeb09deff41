"""Loss on held-out text, a group for each domain: the probe that makes the rows of runs and of learning curves."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.corpus import Corpus
from scaling.corpora.sampler import held_out_windows
from scaling.records import DomainLoss, Outcome
from scaling.study import Trunk
from scaling.sweeps.curve import FINAL_WINDOWS
from scaling.train.probes import Reading, Windows
from scaling.train.stack import Stack
from scaling.units import bits_per_byte

Losses = Mapping[str, NDArray[np.float64]]
"""Mean loss of one model on each window of each domain, nats/token."""


class HeldOut:
    """Mean loss of each domain."""

    name, unit = "heldout", "nats/token"

    def measure(self, stack: Stack, windows: Windows) -> list[Reading]:
        """A reading for every model and every domain."""
        tables = {domain: stack.evaluate(w) for domain, w in windows.items()}
        models = range(len(stack.trunks))
        return [reading(k, domain, table[k]) for k in models for domain, table in tables.items()]


PROBE = HeldOut()
OVERFIT_EPOCHS = 8.0
"""Epochs above which held-out loss may be worse than a uniform guess in a run that has not diverged."""


def final_windows(stack: Stack) -> dict[str, NDArray[np.int64]]:
    """Windows of every domain that has held-out text, whether or not it is trained on."""
    corpus, context = stack.corpus, stack.shape.context
    blended = {domain for trunk in stack.trunks for domain, share in trunk.data.blend if share > 0}
    measured = [
        d for d in sorted(corpus.domains) if d in blended or len(corpus.tokens(d, "heldout")) > context
    ]
    return {domain: held_out_windows(corpus, domain, context, FINAL_WINDOWS) for domain in measured}


def optimal_losses(corpus: Corpus, windows: Windows, blend: Mapping[str, float]) -> Losses | None:
    """Losses of a perfect model of a blend on the windows that a run is measured on; None where they are not known."""
    optimal = {}
    for domain in (d for d, share in blend.items() if share > 0):
        losses = corpus.optimal_losses(windows[domain], blend)
        if losses is None:
            return None
        optimal[domain] = losses.mean(1)
    return optimal


def reading(model: int, domain: str, per_window: NDArray[np.float64]) -> Reading:
    """Of one model on one domain."""
    return Reading(model, domain, float(per_window.mean()), stderr(per_window), len(per_window))


def domain_loss(measured: Reading, corpus: Corpus) -> DomainLoss:
    """The same as a row has it, in bits per byte too."""
    bits = bits_per_byte(measured.value, corpus.bytes_per_token.get(measured.group, 1.0))
    return DomainLoss(
        domain=measured.group, loss=measured.value, loss_stderr=measured.stderr, loss_bits_per_byte=bits
    )


def outcome(
    losses: Losses,
    optimal: Losses | None,
    trunk: Trunk,
    corpus: Corpus,
    note: str,
    *,
    epochs: float = 1.0,
) -> Outcome:
    """What came out of a run: its loss is the mean over domains weighted by its blend.

    Args:
        losses: of the run's model.
        optimal: of a perfect model of the blend on the same windows, where they are known.
        trunk: that the run branched from.
        corpus: that the windows are of.
        note: why the run diverged, if it did.
        epochs: how often it has seen its text. Above `OVERFIT_EPOCHS` a loss worse than a uniform guess is no sign of
            divergence: a model that knows a few documents by heart is sure of itself, and wrong, on any other.
    """
    blend = dict(trunk.data.blend)
    loss, loss_stderr = blended(blend, losses)
    entropy = excess_stderr = None
    if optimal:
        entropy, _ = blended(blend, optimal)
        _, excess_stderr = blended(blend, {d: losses[d] - best for d, best in optimal.items()})
    guess = np.log(trunk.model.vocabulary)
    lowered = trunk.stage == "pretrain" and epochs <= OVERFIT_EPOCHS  # later stages lower something else
    if not note and not loss < (guess if lowered else np.inf):
        note = f"loss {loss:.3g} at the end is no better than a uniform guess"
    bytes_per_token = sum(
        blend[d] * corpus.bytes_per_token.get(d, 1.0) for d in losses if blend.get(d, 0) > 0
    )
    return Outcome(
        status="diverged" if note else "done",
        loss=loss,
        loss_stderr=loss_stderr,
        loss_bits_per_byte=bits_per_byte(loss, bytes_per_token),
        domains=[domain_loss(reading(0, d, per_window), corpus) for d, per_window in losses.items()],
        entropy=entropy,
        excess_stderr=excess_stderr,
        note=note,
    )


def blended(blend: Mapping[str, float], per_window: Losses) -> tuple[float, float]:
    """Mean over domains weighted by their shares, and its standard error over windows."""
    parts = [(blend[d], losses) for d, losses in per_window.items() if blend.get(d, 0) > 0]
    mean = sum(share * float(losses.mean()) for share, losses in parts)
    return mean, sum((share * stderr(losses)) ** 2 for share, losses in parts) ** 0.5


def stderr(per_window: NDArray[np.floating]) -> float:
    """Standard error of a mean over windows; not a number where there is one window only."""
    return float(per_window.std(ddof=1) / len(per_window) ** 0.5) if len(per_window) > 1 else float("nan")
