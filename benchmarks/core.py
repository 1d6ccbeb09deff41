"""Parts of the training core on a CPU: a worker's start, gradients by hand and by autograd, answers by the thousand.

    python benchmarks/core.py    # two minutes of two cores

Start: from a worker's process to its first word of its first job, models made and a step taken; beside it a process
that imports torch alone; in turns, medians of five.
Gradients of the next-token loss, 512 tokens a model, one thread, in turns, medians of nine. Answers: the best of 64 for
each of 1,000 requests of 48 tokens, 32 new ones, by a model of 1M weights, in two processes of one thread each.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from pathlib import Path
from statistics import median

import numpy as np
import torch

from scaling.corpora.source import CorpusSource, LanguageSource
from scaling.corpora.text import build_corpus
from scaling.flops import ladder
from scaling.study import Trunk
from scaling.sweeps import machine
from scaling.sweeps.cost import models_at_once
from scaling.sweeps.job import Job, StackSpec
from scaling.sweeps.mode import Mode
from scaling.train.generate import generate
from scaling.train.gradient import Autograd, Gradient
from scaling.train.losses import NEXT_TOKEN
from scaling.train.model import Forward, initial_weights, matrix_views

REQUESTS, LENGTH, NEW, SAMPLES, PROCESSES = 1000, 48, 32, 64, 2


def start() -> tuple[float, float]:
    """Seconds to a worker's first word, and of importing torch."""
    spoken = (LanguageSource(name="markov", kind="markov"),)
    source = CorpusSource(source="language", languages=spoken, train_tokens=2**16, heldout_tokens=2**14)
    corpus = build_corpus(source, progress=False)
    trunk = Trunk.of(
        width=32, budgets=(512,), blend=(("markov", 1.0),), vocabulary=corpus.vocabulary, warmup_tokens=0
    )
    heard: tuple[list[float], list[float]] = ([], [])
    for _ in range(5):
        with tempfile.TemporaryDirectory() as folder:
            stack = StackSpec((trunk,), corpus.corpus_hash)
            job = Job(study="start", folder=Path(folder), corpus=corpus.folder, stack=stack).write()
            started = time.perf_counter()
            command, pipe = [sys.executable, "-m", "scaling.train.worker"], subprocess.PIPE
            with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as worker:
                assert worker.stdin is not None
                assert worker.stdout is not None
                print(job, file=worker.stdin, flush=True)
                worker.stdout.readline()
                heard[0].append(time.perf_counter() - started)
                worker.stdin.close()
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import torch"], check=True)
        heard[1].append(time.perf_counter() - started)
    return median(heard[0]), median(heard[1])


def gradients(width: int) -> tuple[int, float, float]:
    """Models at once, and seconds of their gradient by hand and by autograd."""
    trunk = Trunk.of(width=width, budgets=(2**20,), tokens_per_step=512)
    models = models_at_once(trunk)
    weights = initial_weights(trunk.model, list(range(models)))
    batch = {"tokens": torch.randint(trunk.model.vocabulary, (models, 4, trunk.model.context + 1))}
    by_hand, by_autograd = Gradient(weights, trunk, Mode()), Gradient(weights, trunk, Mode())
    by_autograd.of = Autograd(Forward(trunk.model, weights.device), NEXT_TOKEN, compiled=False)
    heard: tuple[list[float], list[float]] = ([], [])
    for turn in range(10):
        for way, seconds in zip((by_hand, by_autograd), heard, strict=True):
            started = time.perf_counter()
            for _ in range(10):
                way.fill(batch)
            if turn:  # the first warms up
                seconds.append((time.perf_counter() - started) / 10)
    return models, median(heard[0]), median(heard[1])


def answer(seed: int) -> None:
    """A share of the requests."""
    torch.set_num_threads(1)
    shape, rng = ladder(1e6), np.random.default_rng(seed)
    torch.manual_seed(0)
    weights = initial_weights(shape, [0])
    weights += 0.02 * torch.randn_like(weights)
    requests = rng.integers(shape.vocabulary, size=(REQUESTS // PROCESSES, LENGTH))
    generate(
        Forward(shape, weights.device), matrix_views(weights, shape), list(requests), new=NEW, samples=SAMPLES
    )


def main() -> None:
    torch.set_num_threads(1)
    where = f"{machine.processor()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{date.today()}, {where}, torch {torch.__version__}\n")
    print("| what | measured | against |\n|---|---|---|")
    worker, alone = start()
    print(f"| a worker's start, importing torch | {worker:.2f}, {alone:.2f} s | (asked: < 3 s) |", flush=True)
    for width in (32, 64, 128, 256):
        models, hand, auto = gradients(width)
        words = f"gradient, width {width}, {models} at once: by hand, autograd"
        print(f"| {words} | {1e3 * hand:.1f}, {1e3 * auto:.1f} ms | {auto / hand:.2f}× |", flush=True)
    started = time.perf_counter()
    with ProcessPoolExecutor(PROCESSES) as pool:
        list(pool.map(answer, range(PROCESSES)))
    seconds = time.perf_counter() - started
    words = f"best of {SAMPLES} on {REQUESTS:,} requests, {NEW} new tokens, 1M weights"
    print(
        f"| {words} | {seconds:.0f} s, {REQUESTS * SAMPLES * NEW / seconds:,.0f} tokens/s | (asked: < 120 s) |"
    )


if __name__ == "__main__":
    main()
