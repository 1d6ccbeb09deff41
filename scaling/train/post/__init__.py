"""Later stages of training: stacks that go on from kept weights, each with a loss and batches of its own.

    sft       the answers of documents, token by token: `WeightedTokens`
    reward    which of two answers is better, by the score head: `Preferences`
    prefer    the same by the policy's own probabilities, held to its parent: `DirectPreferences`
    generation   the next token of pages that the parent wrote, from weights drawn anew: `post.generation`

Documents mark their answers (`corpora.synthetic.documents`); in documents of pairs the marks are the ends of texts, the
chosen one before the rejected one. A new stage is a file here, its name in `study.Stage`, and a line of `_STAGES`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from scaling.artifacts import read_weights
from scaling.corpora.corpus import Corpus
from scaling.corpora.sampler import Sampler
from scaling.errors import TrainError
from scaling.flops import Shape
from scaling.study import Trunk, identity
from scaling.sweeps.job import Job
from scaling.train.losses import NEXT_TOKEN, Batch, DirectPreferences, Loss, Preferences, WeightedTokens
from scaling.train.model import layout
from scaling.train.post.generation import read_by
from scaling.train.post.pairs import Pairs, Referred
from scaling.train.post.sft import Answers
from scaling.train.stack import Stack


class OtherWeights(TrainError):
    """Kept weights that are not of the model that goes on from them."""

    run_id: str
    kept: Shape
    wanted: Shape

    def __str__(self) -> str:
        return (
            f"asked to go on from run {self.run_id} with {self.wanted}, but its weights are of {self.kept}: another "
            "shape, or another tokeniser. Delete them with the run's rows, and train it anew with scaling sweep."
        )


class _Learns(NamedTuple):
    """What a stage lowers, on which batches."""

    loss: Loss
    batches: Callable[[int], Batch] | None = None
    samplers: Sequence[Sampler] | None = None


def stack_of(job: Job, corpus: Corpus) -> Stack:
    """The models of a job at their start, ready to learn what their stage teaches.

    Raises:
        MissingWeights, CorruptWeights, OtherWeights: there is nothing to go on from.
        NoAnswers, NoPairs, Tie: a domain of the blend cannot teach it.
    """
    trunks, device = list(job.stack.trunks), torch.device(job.device)
    if trunks[0].stage == "generation":  # from pages of the parents, not from their weights
        learns, start = _Learns(NEXT_TOKEN, samplers=read_by(job, corpus)), None
    else:
        start = parent_weights(job).to(device) if trunks[0].parent else None
        learns = _STAGES[trunks[0].stage](trunks, corpus, start)
    return Stack(trunks, corpus, device, job.mode, **learns._asdict(), start=start)


def parent_weights(job: Job) -> Tensor:
    """What each trunk of a job starts from, `[K, P]`; a score head that the parent lacks starts at zero."""
    rows = []
    for trunk in job.stack.trunks:
        parent, run_id = trunk.parent_trunk, identity.parent_run(trunk, job.stack.corpus_hash)
        assert parent
        assert run_id
        kept = read_weights(job.folder, run_id)
        if kept.shape != parent.model:
            raise OtherWeights(run_id, kept.shape, parent.model)
        parts = [
            torch.from_numpy(kept.matrices[m.name]).flatten()
            if m.name in kept.matrices
            else torch.zeros(m.size)
            for m in layout(trunk.model)
        ]
        rows.append(torch.cat(parts))
    return torch.stack(rows)


def _pretrain(trunks: Sequence[Trunk], corpus: Corpus, start: Tensor | None) -> _Learns:
    return _Learns(NEXT_TOKEN)


def _sft(trunks: Sequence[Trunk], corpus: Corpus, start: Tensor | None) -> _Learns:
    assert start is not None
    return _Learns(WeightedTokens(), Answers([t.sampler(corpus) for t in trunks], start.device))


def _reward(trunks: Sequence[Trunk], corpus: Corpus, start: Tensor | None) -> _Learns:
    assert start is not None
    return _Learns(Preferences(), Pairs([t.sampler(corpus) for t in trunks], start.device))


def _prefer(trunks: Sequence[Trunk], corpus: Corpus, start: Tensor | None) -> _Learns:
    assert start is not None
    pairs = Pairs([t.sampler(corpus) for t in trunks], start.device)
    return _Learns(DirectPreferences(trunks[0].kl_weight), Referred(pairs, start, trunks[0].model))


_STAGES: dict[str, Callable[[Sequence[Trunk], Corpus, Tensor | None], _Learns]] = {
    "pretrain": _pretrain,
    "sft": _sft,
    "reward": _reward,
    "prefer": _prefer,
}
