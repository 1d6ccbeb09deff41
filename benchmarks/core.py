"""Parts of the training core on a CPU: the gradient by hand beside autograd's, and answers by the thousand.

    python benchmarks/core.py    # two minutes of two cores

Gradients of the next-token loss, 512 tokens a model, one thread, in turns, medians of nine. Answers: the best of 64 for
each of 1,000 requests of 48 tokens, 32 new ones, by a model of 1M weights, in two processes of one thread each.
"""

from __future__ import annotations

import os
import platform
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from statistics import median

import numpy as np
import torch

from scaling.flops import ladder
from scaling.study import Trunk
from scaling.sweeps import machine
from scaling.sweeps.cost import models_at_once
from scaling.sweeps.job import Mode
from scaling.train.generate import generate
from scaling.train.gradient import Autograd, Gradient
from scaling.train.losses import NEXT_TOKEN
from scaling.train.model import Forward, initial_weights, matrix_views

REQUESTS, LENGTH, NEW, SAMPLES, PROCESSES = 1000, 48, 32, 64, 2


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
