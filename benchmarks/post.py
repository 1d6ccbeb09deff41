"""How long a reward model takes to choose the best of 64 commands for each of 1,000 requests.

    python -m benchmarks.post [--requests 1000]

A policy and a reward model of a million weights, one thread; fresh weights, since what they say takes no other time.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np
import torch

from scaling.corpora.synthetic.tools import Requests
from scaling.flops import count_parameters, ladder
from scaling.show import Table
from scaling.train.generate import generate
from scaling.train.model import Forward, initial_weights, matrix_views
from scaling.units import print_count

SAMPLES, NEW, PROMPT = 64, 6, 9


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=1000)
    count = parser.parse_args().requests
    torch.set_num_threads(1)
    shape = ladder(1e6, context=41, vocabulary=len(Requests().words) + 1)
    shape = replace(shape, score_head=True)
    views = matrix_views(initial_weights(shape, [0]), shape)
    net = Forward(shape, torch.device("cpu"))
    rng = np.random.default_rng(0)
    prompts = list(rng.integers(1, shape.vocabulary, (count, PROMPT)))
    started = time.perf_counter()
    answers = generate(net, views, prompts, new=NEW, samples=SAMPLES).tokens[0]
    drawn = time.perf_counter()
    with torch.no_grad():
        for prompt, mine in zip(prompts, answers, strict=True):
            texts = np.concatenate([np.broadcast_to(prompt, (SAMPLES, PROMPT)), mine], 1)
            last = torch.full((1, SAMPLES), PROMPT + NEW - 1)
            net.scores(views, torch.from_numpy(texts)[None], last).argmax(1)
    done = time.perf_counter()
    rows = [
        ("weights of each model", print_count(count_parameters(shape).total), ""),
        (f"{count} requests, {SAMPLES} answers each: drawn", f"{drawn - started:.0f} s", ""),
        ("chosen by their scores", f"{done - drawn:.0f} s", ""),
        ("both", f"{done - started:.0f} s", "asked: < 120 s"),
    ]
    print(Table(("best of 64", "measured", "against"), rows))


if __name__ == "__main__":
    main()
