"""How fast the training core is, beside a plain loop, both timed in the same run on the same cores.

    python benchmarks/train.py            # about fifteen minutes on two cores
    python benchmarks/train.py --quick    # fewer repeats, no whole sweep: about five

The rival is what people write first, in the manner of nanoGPT: a module with the same shapes, torch's own AdamW, one
process with two threads, and one run for every point, its cosine ending at the point's budget. It sees the same
batches and measures the same held-out windows at the end of every run, but no learning curve. Everything is timed in
turns, A B A B, and medians are shown; a grid's hours are its exact steps times the measured seconds of a step.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scaling.corpora.corpus import Corpus
from scaling.corpora.sampler import held_out_windows
from scaling.corpora.text import build_corpus
from scaling.flops import MLP_RATIO, Shape, count_flops
from scaling.study import Trunk, read_study
from scaling.sweeps.cost import models_at_once, tokens_to_train
from scaling.sweeps.curve import FINAL_WINDOWS, cooldown_steps, curve_steps, curve_windows
from scaling.sweeps.engines.base import Capacity
from scaling.sweeps.job import StackSpec
from scaling.sweeps.launch import sweep
from scaling.sweeps.stacks import stack_trunks
from scaling.train.carry_out import keep_pages
from scaling.train.loop import device_name, product_ceiling
from scaling.train.stack import Stack

STUDY = Path(__file__).parents[1] / "runs" / "quickstart"
WIDTHS = (32, 64, 128, 256)
SECONDS_A_TURN = 1.0
WORKERS = 2
ASKED = {"octaves": "≥ 3×", "half octaves": "≥ 4×"}


class Block(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        w = shape.width
        self.heads = shape.heads
        self.norm_attention, self.norm_mlp = nn.RMSNorm(w), nn.RMSNorm(w)
        self.qkv, self.out = nn.Linear(w, 3 * w, bias=False), nn.Linear(w, w, bias=False)
        self.up, self.down = nn.Linear(w, MLP_RATIO * w, bias=False), nn.Linear(MLP_RATIO * w, w, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, context, width = x.shape
        q, k, v = self.qkv(self.norm_attention(x)).split(width, dim=2)
        q, k, v = (t.view(batch, context, self.heads, -1).transpose(1, 2) for t in (q, k, v))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, context, width))
        return x + self.down(F.relu(self.up(self.norm_mlp(x))).square())


class Plain(nn.Module):
    """The rival's model: the same matrices, learned positions; queries and keys as they are, which is less work."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.positions = nn.Embedding(shape.context, shape.width)
        self.blocks = nn.Sequential(*(Block(shape) for _ in range(shape.depth)))
        self.norm, self.head = nn.RMSNorm(shape.width), nn.Linear(shape.width, shape.vocabulary, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        inputs, targets = tokens[:, :-1], tokens[:, 1:]
        x = self.tokens(inputs) + self.positions.weight
        logits = self.head(self.norm(self.blocks(x)))
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def rival(trunk: Trunk, corpus: Corpus) -> tuple[Callable[[], None], Callable[[], None]]:
    """One training step, and one evaluation, of the plain loop."""
    model = Plain(trunk.model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), fused=True)
    sampler = trunk.sampler(corpus)
    windows = [
        torch.from_numpy(held_out_windows(corpus, d, trunk.model.context, FINAL_WINDOWS))
        for d in corpus.bytes
    ]
    state = {"step": 0}

    def step() -> None:
        loss = model(torch.from_numpy(sampler.batch(state["step"])))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        state["step"] += 1

    def evaluate() -> None:
        with torch.no_grad():
            for some in windows:
                for part in some.split(64):
                    model(part)

    return step, evaluate


def ours(trunks: list[Trunk], corpus: Corpus) -> tuple[Callable[[], None], ...]:
    """The same of a stack of trunks, and one point of its learning curve."""
    stack = Stack(trunks, corpus, torch.device("cpu"))
    windows = [held_out_windows(corpus, d, trunks[0].model.context, FINAL_WINDOWS) for d in corpus.bytes]

    def step() -> None:
        stack.advance(stack.step + 1, lambda _: 0.1)

    def evaluate() -> None:
        for some in windows:
            stack.evaluate(some)

    def point() -> None:
        for some in windows:
            stack.evaluate(curve_windows(some))

    return step, evaluate, point


def per_call(call: Callable[[], Any], turn: float = SECONDS_A_TURN / 4) -> float:
    call()
    started, calls = time.perf_counter(), 0
    while time.perf_counter() - started < turn:
        call()
        calls += 1
    return (time.perf_counter() - started) / calls


# --- processes that are timed side by side ------------------------------------------------------------


def serve(kind: str, width: int, models: int, threads: int) -> None:
    """A process that times what it is asked for: each line of its input is a word, each line of its output seconds."""
    torch.set_num_threads(threads)
    if kind == "ours":
        keep_pages()
    study = read_study(STUDY)
    corpus = build_corpus(study.source, progress=False)
    trunks = [Trunk.of(width=width, seed=s, budgets=(2**21,)) for s in range(models)]
    timed = ours(trunks, corpus) if kind == "ours" else rival(trunks[0], corpus)
    calls: dict[str, Callable[[], None]] = dict(zip(("step", "evaluate", "point"), timed, strict=False))
    for _ in range(20):
        calls["step"]()
    print("ready", flush=True)
    for line in sys.stdin:
        word = line.strip()
        if word == "ceiling":
            print(json.dumps(product_ceiling(torch.device("cpu"))), flush=True)
        else:
            print(json.dumps(per_call(calls[word], SECONDS_A_TURN)), flush=True)


class Timed:
    """Processes of one kind that run at the same time, each on its own core where there are enough."""

    def __init__(self, kind: str, width: int, *, models: int = 1, threads: int = 1, processes: int = 1):
        self.models, self.processes = models, processes
        command = [sys.executable, __file__, "--serve", kind, str(width), str(models), str(threads)]
        environment = os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        self.workers = [
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
            )
            for _ in range(processes)
        ]
        for worker in self.workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"

    def ask(self, word: str) -> float:
        """Seconds of one call, in every process at once: the mean over processes."""
        for worker in self.workers:
            assert worker.stdin is not None
            worker.stdin.write(word + "\n")
            worker.stdin.flush()
        return sum(json.loads(w.stdout.readline()) for w in self.workers if w.stdout) / len(self.workers)

    def close(self) -> None:
        for worker in self.workers:
            assert worker.stdin is not None
            assert worker.stdout is not None
            worker.stdin.close()
            worker.wait()
            worker.stdout.close()


def side_by_side(contenders: dict[str, Timed], word: str, turns: int) -> dict[str, float]:
    """Median seconds of a call of each, asked in turns."""
    heard: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(turns):
        for name, timed in contenders.items():
            heard[name].append(timed.ask(word))
    return {name: median(values) for name, values in heard.items()}


# --- the table ----------------------------------------------------------------------------------------


def grid_hours(turns: int) -> list[tuple[str, str, str]]:
    """Points per hour on the quickstart's grid of new tokens, and what each part of the design is worth.

    The grid's budgets are octaves; the same grid at half octaves is timed from the same steps.
    """
    trunks = tuple(t for t in read_study(STUDY).trunks if t.data.unique_budget is None)
    grids = {"octaves": trunks, "half octaves": tuple(map(_at_half_octaves, trunks))}
    stacks = {name: stack_trunks(grid, "", Capacity(workers=WORKERS)) for name, grid in grids.items()}
    timed = {}
    for width in sorted({t.model.width for t in trunks}):
        dealt = [s for grid in stacks.values() for s in grid if s.trunks[0].model.width == width]
        timed[width] = _seconds(width, sorted({1} | {len(s.trunks) for s in dealt}), turns)
    return [row for name in grids for row in _points(name, grids[name], stacks[name], timed)]


def _at_half_octaves(trunk: Trunk) -> Trunk:
    """The trunk with a budget more between each two, of whole steps."""
    schedule, step = trunk.schedule, trunk.schedule.tokens_per_step
    between = [round(2**0.5 * budget / step) * step for budget in schedule.budgets[:-1]]
    budgets = tuple(sorted((*schedule.budgets, *between)))
    return replace(trunk, schedule=replace(schedule, budgets=budgets))


def _seconds(width: int, sizes: Sequence[int], turns: int) -> dict[str, dict[str, float]]:
    """Seconds of a step, of the last evaluation and of a point of the curve: of the rival and of each size of stack."""
    mine = {str(k): Timed("ours", width, models=k, processes=WORKERS) for k in sizes}
    all_of_them = {"rival": Timed("rival", width, threads=2)} | mine
    heard = {word: side_by_side(all_of_them, word, turns) for word in ("step", "evaluate")}
    heard["point"] = side_by_side(mine, "point", turns)
    for contender in all_of_them.values():
        contender.close()
    return heard


def _points(
    name: str,
    trunks: Sequence[Trunk],
    stacks: Sequence[StackSpec],
    timed: Mapping[int, Mapping[str, Mapping[str, float]]],
) -> list[tuple[str, str, str]]:
    """Rows of one grid: the rival's points per hour, what each part of the design is worth, and ours."""
    points = sum(len(t.schedule.budgets) for t in trunks)

    def ours(trunk: Trunk, models: int) -> tuple[float, float]:
        """Seconds of training, and of evaluation, of a stack."""
        schedule, heard, size = trunk.schedule, timed[trunk.model.width], str(models)
        curve = len(curve_steps(schedule, schedule.last_step))
        for b in schedule.budgets:  # the end of a cooldown is measured as the run itself
            curve += len(cooldown_steps(schedule, schedule.branch_step(b), schedule.steps(b))) - 1
        looks = len(schedule.budgets) * heard["evaluate"][size] + curve * heard["point"][size]
        return tokens_to_train(trunk) // schedule.tokens_per_step * heard["step"][size], looks

    def rival(trunk: Trunk, steps: int) -> float:
        heard = timed[trunk.model.width]
        return steps * heard["step"]["rival"] + len(trunk.schedule.budgets) * heard["evaluate"]["rival"]

    spent = [ours(s.trunks[0], len(s.trunks)) for s in stacks]
    seconds = {
        "rival": sum(rival(t, sum(map(t.schedule.steps, t.schedule.budgets))) for t in trunks),
        "trunk": sum(rival(t, tokens_to_train(t) // t.schedule.tokens_per_step) for t in trunks),
        "workers": makespan([sum(ours(t, 1)) for t in trunks]),
        "stacked": makespan(list(map(sum, spent))),
    }
    rate = {way: f"{3600 * points / taken:.0f}" for way, taken in seconds.items()}
    gain = {one: f"{seconds[before] / seconds[one]:.2f}×" for before, one in pairwise(seconds)}
    whole = seconds["rival"] / seconds["stacked"]
    return [
        (f"{name}: points per hour, rival", rate["rival"], ""),
        ("  × one trunk, cooldown branches", gain["trunk"], ""),
        ("  × two workers of one thread, this suite's step", gain["workers"], ""),
        ("  × stacks", gain["stacked"], ""),
        (f"{name}: points per hour, this suite", rate["stacked"], f"{whole:.2f}× (asked: {ASKED[name]})"),
        (
            "  of its time, evaluations",
            f"{sum(s[1] for s in spent) / sum(map(sum, spent)):.1%}",
            "(asked: < 5 %)",
        ),
    ]


def makespan(stacks: list[float]) -> float:
    """Seconds until the last of the workers is done, the longest stacks dealt out first."""
    busy = [0.0] * WORKERS
    for seconds in sorted(stacks, reverse=True):
        heapq.heapreplace(busy, busy[0] + seconds)
    return max(busy)


def whole_sweep() -> list[tuple[str, str, str]]:
    """The same grid by `sweep` itself, from the first process to the last row: start-up, checkpoints and all."""
    study = read_study(STUDY)
    trunks = tuple(t for t in study.trunks if t.data.unique_budget is None)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        runs = sweep(
            replace(study, folder=Path(folder) / "grid", trunks=trunks), workers=WORKERS, progress=False
        )
        hours = (time.perf_counter() - started) / 3600
    return [("points per hour, a whole sweep", f"{len(runs) / hours:.0f}", f"{60 * hours:.1f} minutes")]


def speeds(turns: int) -> list[tuple[str, str, str]]:
    """Tokens/s of two workers against one rival with two threads, and the share of the ceiling."""
    asked = {32: "≥ 2.0×", 64: "≥ 1.3×", 128: "≥ 1.15×"}
    shares = {128: "≥ 50 %", 256: "≥ 62 %"}
    rows = []
    for width in WIDTHS:
        contenders = {
            "rival": Timed("rival", width, threads=2),
            "one": Timed("ours", width),
            "two": Timed(
                "ours", width, models=models_at_once(Trunk.of(width=width, budgets=(512,))), processes=2
            ),
        }
        if width in asked:
            step = side_by_side(contenders, "step", turns)
            per_second = {n: c.models * c.processes * 512 / step[n] for n, c in contenders.items()}
            ratio = per_second["two"] / per_second["rival"]
            rows.append(
                (
                    f"tokens/s, width {width}: two workers, rival",
                    f"{per_second['two']:,.0f}, {per_second['rival']:,.0f}",
                    f"{ratio:.2f}× (asked: {asked[width]})",
                )
            )
        if width in shares:
            one = {"one": contenders["one"]}
            step = side_by_side(one, "step", turns)["one"]
            top = median(contenders["one"].ask("ceiling") for _ in range(turns))
            share = count_flops(Shape(width=width), 512).total / step / top
            rows.append(
                (
                    f"share of the product ceiling, width {width}",
                    f"{100 * share:.0f} % of {top / 1e9:.0f} GFLOP/s",
                    f"(asked: {shares[width]})",
                )
            )
        for timed in contenders.values():
            timed.close()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    parser.add_argument(
        "--serve", nargs=4, metavar=("KIND", "WIDTH", "MODELS", "THREADS"), help=argparse.SUPPRESS
    )
    options = parser.parse_args()
    if options.serve:
        kind, *numbers = options.serve
        serve(kind, *map(int, numbers))
        return
    turns = 3 if options.quick else 9
    print(
        f"{date.today()}, {device_name(torch.device('cpu')).partition(',')[0]}, {os.cpu_count()} cores, ",
        end="",
    )
    print(f"Python {platform.python_version()}, torch {torch.__version__}\n")
    print("| what | measured | against |\n|---|---|---|")
    parts = [lambda: speeds(turns), lambda: grid_hours(turns), *([] if options.quick else [whole_sweep])]
    for row in (row for part in parts for row in part()):
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
