"""Generations: a model writes pages, and the next one, drawn anew, learns from them.

A model writes a page by sampling from the first token on, at temperature one. Which pages the next one reads is its
trunk's `generated`; it reads them for as many tokens as the first generation read real ones.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from scaling.artifacts import read_weights
from scaling.corpora.corpus import Corpus
from scaling.corpora.sampler import Sampler
from scaling.corpora.synthetic.documents import FILLER
from scaling.corpora.synthetic.generated import (
    TRIES,
    Pages,
    corpus_of_pages,
    kept_pages,
    text_hash,
    text_of_generation,
)
from scaling.study import Trunk, identity
from scaling.sweeps.job import Job
from scaling.train.generate import generate
from scaling.train.model import Forward, Weights

_TOGETHER = 64
"""Pages that are written at once, of the same first token."""


def read_by(job: Job, corpus: Corpus) -> list[Sampler]:
    """What each trunk of a job reads: pages that its forebears wrote, beside real ones or alone."""
    device = torch.device(job.device)
    return [_sampler(job.folder, trunk, corpus, device) for trunk in job.stack.trunks]


def said_of(trunk: Trunk, sampler: Sampler) -> str:
    """What the row of a run says of the pages that it was trained on; nothing where no model wrote any."""
    if trunk.stage != "generation":
        return ""
    (domain,) = sampler.domains
    count, text = sampler.windows(domain), text_hash(sampler.corpus, domain)
    return f"read {count} pages in all, {trunk.generated}, text {text}"


def write_pages(forward: Forward, weights: Weights, count: int, seed: int) -> Pages:
    """Pages of K models, `[K, count, row]`."""
    row = forward.shape.context
    requests = [[FILLER]] * -(-count // _TOGETHER)
    drawn = generate(forward, weights, requests, new=row - 1, samples=_TOGETHER, end=FILLER, seed=seed)
    pages = drawn.tokens.reshape(len(drawn.tokens), -1, row - 1)[:, :count]
    return np.pad(pages, ((0, 0), (0, 0), (1, 0)), constant_values=FILLER)


def _sampler(folder: Path, trunk: Trunk, corpus: Corpus, device: torch.device) -> Sampler:
    (domain,) = dict(trunk.data.unique)
    of_real = trunk.sampler(corpus)
    windows = of_real.seen(domain, trunk.schedule.steps(max(trunk.schedule.budgets)))
    row = trunk.model.context
    starts = np.sort(windows)[:, None] * row  # in the order of the corpus, whatever that of the seed
    real = corpus.tokens(domain)[starts + np.arange(row)].astype(np.int64)
    written = [_written(folder, one, corpus, TRIES * len(real), device) for one in _line(trunk)]
    pages = text_of_generation(trunk.generated, corpus, domain, real, written)
    own = corpus_of_pages(folder, identity.trunk_id(trunk, corpus.corpus_hash), corpus, domain, pages)
    return Sampler(own, {domain: 1.0}, row, of_real.windows_per_step, trunk.seed, member=trunk.member)


def _line(trunk: Trunk) -> list[Trunk]:
    """It and its forebears that read pages of models, the first one first."""
    parent = trunk.parent_trunk
    return [*(_line(parent) if parent and parent.stage == "generation" else []), trunk]


def _written(folder: Path, child: Trunk, corpus: Corpus, count: int, device: torch.device) -> Pages:
    """What a trunk's parent wrote."""
    run_id = identity.parent_run(child, corpus.corpus_hash)
    assert run_id

    def write() -> Pages:
        kept = read_weights(folder, run_id)
        weights = {name: torch.from_numpy(m)[None].to(device) for name, m in kept.matrices.items()}
        seed = int(run_id, 16) % 2**31  # of its own, so that no two models draw alike
        return write_pages(Forward(kept.shape, device), weights, count, seed)[0]

    return kept_pages(folder, run_id, count, write)
