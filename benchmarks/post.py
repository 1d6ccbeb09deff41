"""How long a reward model takes to choose the best of 64 answers of 32 tokens to each of 1,000 requests.

    python -m benchmarks.post [--requests 1000] [--workers 2]

A policy and a reward model of a million weights, a process of one thread for each worker; fresh weights, since what
they say takes no other time. Where other work shares the cores, processor seconds say what a free core would take.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import numpy as np
import torch

from scaling.corpora.synthetic.tools import Requests
from scaling.flops import Shape, count_parameters, ladder
from scaling.show import Table
from scaling.train.generate import answer_scores, generate
from scaling.train.model import Forward, initial_weights, matrix_views
from scaling.units import print_count

SAMPLES, NEW, PROMPT = 64, 32, 9


def shape_of_both() -> Shape:
    """A million weights, with a score head."""
    shape = ladder(1e6, context=PROMPT + NEW, vocabulary=len(Requests().words) + 1)
    return replace(shape, score_head=True)


def chosen(requests: int) -> tuple[float, float]:
    """Processor seconds that drawing and scoring answers to so many requests take in this process."""
    torch.set_num_threads(1)
    shape = shape_of_both()
    views = matrix_views(initial_weights(shape, [0]), shape)
    net = Forward(shape, torch.device("cpu"))
    rng = np.random.default_rng(0)
    prompts = list(rng.integers(1, shape.vocabulary, (requests, PROMPT)))
    started = time.process_time()
    answers = generate(net, views, prompts, new=NEW, samples=SAMPLES).tokens
    drawn = time.process_time()
    answer_scores(net, views, prompts, answers, end=-1).argmax(2)
    return drawn - started, time.process_time() - drawn


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    share = -(-asked.requests // asked.workers)
    with ProcessPoolExecutor(asked.workers, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(chosen, [1] * asked.workers))  # processes that have imported torch
        started = time.perf_counter()
        drawn, scored = np.array(list(pool.map(chosen, [share] * asked.workers))).max(0)
        wall = time.perf_counter() - started
    rows = [
        ("weights of each model", print_count(count_parameters(shape_of_both()).total), ""),
        (
            f"{asked.requests} requests, {SAMPLES} answers of {NEW} tokens each: drawn",
            f"{drawn:.0f} s of a core",
            "",
        ),
        ("chosen by their scores", f"{scored:.0f} s of a core", ""),
        (
            f"both, {asked.workers} workers",
            f"{wall:.0f} s, {drawn + scored:.0f} s of each core",
            "asked: < 120 s",
        ),
    ]
    print(Table(("best of 64", "measured", "against"), rows))


if __name__ == "__main__":
    main()
