"""What the training core does on a GPU: its tests, a table of speeds beside plain compiled PyTorch, and a ladder.

    python benchmarks/gpu.py --out results              # under nine minutes on one H100 or H200
    python benchmarks/gpu.py --out results --smoke      # the same on any CPU with tiny models, under a minute

It needs torch, numpy, scipy, safetensors, rich, click, pytest and hypothesis beside the suite. Everything lands in the
folder as soon as it is known: `table.md` row by row, `tests.txt`, `log.md`, and the ladder's rows as the workers write
them. The ladder is runs/ladder-gpu, small models first, for as long as there is time; a later start goes on with it.

    mkdir -p .store/ladder-gpu/rows && cp results/rows/*.jsonl .store/ladder-gpu/rows/
    scaling runs commit runs/ladder-gpu

The rival is what people write first, in the manner of nanoGPT: the same matrices, rotary positions and normed queries
and keys, torch's own modules, fused AdamW and `torch.compile`, under autocast to bf16. All of a row is timed in turns
on the same device, and medians are shown.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault(
    "SCALING_CACHE", tempfile.mkdtemp(prefix="scaling-cache-")
)  # a bare machine has no platformdirs

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # nothing is installed there

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scaling.corpora.corpus import Corpus
from scaling.corpora.sampler import held_out_windows
from scaling.corpora.source import CorpusSource
from scaling.corpora.text import build_corpus
from scaling.flops import MLP_RATIO, Shape, count_flops, ladder
from scaling.study import Trunk, read_study
from scaling.sweeps.cost import device_bytes, mode_and_bytes, tokens_to_train
from scaling.sweeps.curve import FINAL_WINDOWS
from scaling.sweeps.engines.base import Asked, Capacity
from scaling.sweeps.job import EXIT_STOPPED, Job
from scaling.sweeps.mode import Mode
from scaling.sweeps.stacks import stack_trunks
from scaling.train.carry_out import carry_out
from scaling.train.loop import device_name, product_ceiling
from scaling.train.model import norm, rotary_angles
from scaling.train.stack import Stack

STUDY = ROOT / "runs" / "ladder-gpu"
Row = tuple[str, str, str]


@dataclass(frozen=True)
class Sizes:
    """What is measured, and for how long."""

    device: torch.device
    large: Shape
    large_tokens: int
    """A step of the large model."""
    stacked: tuple[float, ...]
    models: int
    stack_tokens: int
    few_tokens: int
    turns: int
    contexts: tuple[int, ...]
    """Tried in turn, with one window a step, until the memory is full."""
    memory: tuple[tuple[Shape, int, int, bool], ...]
    """Shape, models, tokens a step and whether compiled, of stacks whose memory is measured."""


FULL = Sizes(
    device=torch.device("cuda"), large=Shape(width=768, depth=12, head_dim=64, context=1024), large_tokens=2**16,
    stacked=(1e6, 3e6, 1e7), models=16, stack_tokens=8192, few_tokens=1024, turns=7,
    contexts=tuple(2**i for i in range(13, 20)),
    memory=(
        (Shape(width=768, depth=12, head_dim=64, context=1024), 1, 2**16, True),
        (Shape(width=768, depth=12, head_dim=64, context=1024), 1, 2**16, False),
        (Shape(width=256, depth=6, head_dim=64, context=512), 16, 2**13, True),
        (Shape(width=64), 1, 2**17, False), (Shape(width=64), 32, 2**13, False),
        (Shape(width=1024, depth=8, head_dim=64), 32, 2**10, False),
        (Shape(width=1024, depth=8, head_dim=64, context=2048), 1, 2**16, False),
    ),
)  # fmt: skip
SMOKE = Sizes(
    device=torch.device("cpu"), large=Shape(width=32, context=32), large_tokens=128, stacked=(3e4,), models=2,
    stack_tokens=256, few_tokens=128, turns=1, contexts=(64, 128),
    memory=((Shape(width=32, context=32), 2, 128, False),),
)  # fmt: skip


# --- the rival --------------------------------------------------------------------------------------


class Block(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        w, self.heads = shape.width, shape.heads
        self.qkv, self.out = nn.Linear(w, 3 * w, bias=False), nn.Linear(w, w, bias=False)
        self.up, self.down = nn.Linear(w, MLP_RATIO * w, bias=False), nn.Linear(MLP_RATIO * w, w, bias=False)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        qkv = self.qkv(norm(x)).unflatten(-1, (3, self.heads, -1)).transpose(1, 3)
        a, b = norm(qkv[:, :, :2]).chunk(2, -1)
        q, k = torch.cat((a * cosine - b * sine, a * sine + b * cosine), -1).to(x.dtype).unbind(2)
        mixed = F.scaled_dot_product_attention(q, k, qkv[:, :, 2], is_causal=True, scale=1.0)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.down(F.relu(self.up(norm(x))).square())


class Plain(nn.Module):
    """The same matrices in torch's own modules."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.depth))
        self.head = nn.Linear(shape.width, shape.vocabulary, bias=False)
        length, angles = rotary_angles(shape)
        self.register_buffer("cosine", (length * angles.cos()).float())
        self.register_buffer("sine", (length * angles.sin()).float())

    def forward(self, tokens: Tensor) -> Tensor:
        x = norm(self.embedding(tokens[:, :-1]))
        for block in self.blocks:
            x = block(x, self.cosine, self.sine)
        return F.cross_entropy(self.head(norm(x)).flatten(0, 1).float(), tokens[:, 1:].flatten())


def rival(trunk: Trunk, corpus: Corpus, device: torch.device, passes: int = 1) -> Callable[[], None]:
    """A training step of the plain model, compiled on a GPU, on batches that lie on the device already."""
    model = Plain(trunk.model).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), fused=True)
    tokens = torch.from_numpy(trunk.sampler(corpus).batch(0)).to(device)
    run = torch.compile(model, dynamic=False) if device.type == "cuda" else model

    def step() -> None:
        for part in tokens.chunk(passes):
            with torch.autocast(device.type, torch.bfloat16):
                loss = run(part)
            (loss / passes).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


# --- timing -----------------------------------------------------------------------------------------


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def steps_of(stack: Stack) -> Callable[[], None]:
    return lambda: stack.advance(stack.step + 1, lambda _: 0.1)


def in_turns(calls: dict[str, Callable[[], None]], device: torch.device, turns: int) -> dict[str, float]:
    """Median seconds of a step of each, after three that compile, warm up and record."""
    for call in calls.values():
        for _ in range(3):
            call()
    heard: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(turns):
        for name, call in calls.items():
            wait(device)
            started = time.perf_counter()
            for _ in range(4):
                call()
            wait(device)
            heard[name].append((time.perf_counter() - started) / 4)
    return {name: median(values) for name, values in heard.items()}


def peak_of(call: Callable[[], None], device: torch.device) -> float:
    """Most bytes that the device held during two steps."""
    if device.type != "cuda":
        return float("nan")
    torch.cuda.reset_peak_memory_stats(device)
    call()
    call()
    wait(device)
    return float(torch.cuda.max_memory_allocated(device))


def forget(device: torch.device) -> None:
    torch.compiler.reset()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def trunk_of(shape: Shape, tokens: int, seed: int = 0) -> Trunk:
    keys = {key: getattr(shape, key) for key in ("width", "depth", "head_dim", "context", "vocabulary")}
    return Trunk.of(**keys, tokens_per_step=tokens, budgets=(2**30,), seed=seed)


def milliseconds(*seconds: float) -> str:
    return " / ".join(f"{1e3 * s:.1f}" for s in seconds) + " ms"


# --- the table --------------------------------------------------------------------------------------


def large_rows(sizes: Sizes, corpus: Corpus) -> Iterator[Row]:
    """A model of GPT-2's size, compiled and not, beside the rival: speed, memory, the host's share."""
    device, gpu = sizes.device, sizes.device.type == "cuda"
    trunk = trunk_of(sizes.large, sizes.large_tokens)
    room = 0.9 * torch.cuda.get_device_properties(device).total_memory if gpu else 8e9
    asked = Mode(precision="bf16", compile=gpu)
    mode, _ = mode_and_bytes(trunk, 1, room, gpu=gpu, mode=asked)
    passes = mode.passes
    made = {
        "compiled, graph": Stack(
            [trunk], corpus, device, Mode(precision="bf16", passes=passes, graph=gpu, compile=gpu)
        ),
        "compiled": Stack([trunk], corpus, device, Mode(precision="bf16", passes=passes, compile=gpu)),
        "not compiled": Stack([trunk], corpus, device, Mode(precision="bf16", passes=passes)),
    }
    calls = {name: steps_of(stack) for name, stack in made.items()} | {
        "plain": rival(trunk, corpus, device, passes)
    }
    seconds = in_turns(calls, device, sizes.turns)
    top, flops = product_ceiling(device, "bf16"), count_flops(sizes.large, sizes.large_tokens).total
    size = f"{sizes.large.width} × {sizes.large.depth}, {sizes.large_tokens:,} tokens"
    for name, aim in (
        ("compiled, graph", "≥ 50 %"),
        ("compiled", ""),
        ("not compiled", "printed"),
        ("plain", ""),
    ):
        share = (
            f"{milliseconds(seconds[name])}, {flops / seconds[name] / top:.1%} of {top / 1e12:.3g} TFLOP/s"
        )
        against = f"{seconds['plain'] / seconds[name]:.2f}× the plain model's speed"
        yield f"{size}: {name}", share, against + (f" (asked: {aim})" if aim else "")
    batches = made["compiled, graph"].batches
    host = median(timed(partial(batches, step)) for step in range(50))
    yield "host's share of a step", f"{host / seconds['compiled, graph']:.2%}", "(asked: < 2 %)"
    del made, calls, batches
    forget(device)


def memory_rows(sizes: Sizes, corpus: Corpus) -> Iterator[Row]:
    """What is planned beside what tensors took in a branch and an evaluation, its trunk's state kept."""
    gpu = sizes.device.type == "cuda"
    for shape, models, tokens, compiled in sizes.memory:
        trunks = [trunk_of(shape, tokens, seed) for seed in range(models)]
        mode = Mode(precision="bf16", compile=compiled and gpu)
        planned = device_bytes(trunks[0], models, mode=mode)
        stack = Stack(trunks, corpus, sizes.device, mode)
        stack.advance(1, lambda _: 0.1)
        kept = stack.fork()

        def branch(stack: Stack = stack) -> None:
            stack.advance(stack.step + 1, lambda _: 0.1)
            domain = corpus.domains[0]
            stack.evaluate(held_out_windows(corpus, domain, stack.shape.context, FINAL_WINDOWS))

        used = peak_of(branch, sizes.device)
        how = "compiled" if compiled else "not compiled"
        size = f"{models} of {shape.width} × {shape.depth}, context {shape.context}, {tokens:,} tokens, {how}"
        words = f"{planned / 1e9:.2f} GB / {used / 1e9:.2f} GB = {planned / used:.2f}"
        yield f"memory, planned / used: {size}", words, "(asked: 0.9–1.25)"
        del stack, kept, branch
        forget(sizes.device)


def timed(call: Callable[[], Any]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def stack_rows(sizes: Sizes, corpus: Corpus) -> Iterator[Row]:
    """Stacks beside a loop over as many compiled plain models."""
    device, gpu = sizes.device, sizes.device.type == "cuda"
    aims = dict(zip(FULL.stacked, ("≤ 10.1 ms", "≤ 21.5 ms", "≤ 51.3 ms"), strict=True))
    asked = [(N, sizes.stack_tokens, aims.get(N, "")) for N in sizes.stacked]
    for N, tokens, aim in [*asked, (sizes.stacked[0], sizes.few_tokens, "≥ 4×")]:
        shape = ladder(N)
        trunks = [trunk_of(shape, tokens, seed) for seed in range(sizes.models)]
        together = Stack(trunks, corpus, device, Mode(precision="bf16", graph=gpu, compile=gpu))
        plain = [rival(trunk, corpus, device) for trunk in trunks]

        def one_by_one(plain: list[Callable[[], None]] = plain) -> None:
            for step in plain:
                step()

        seconds = in_turns({"ours": steps_of(together), "plain": one_by_one}, device, sizes.turns)
        words = f"{sizes.models} of {N / 1e6:g}M, {tokens:,} tokens a step: stack / loop of compiled models"
        ratio = f"{seconds['plain'] / seconds['ours']:.1f}×" + (f" (asked: {aim})" if aim else "")
        yield words, milliseconds(seconds["ours"], seconds["plain"]), ratio
        del together, plain
        forget(device)


def context_rows(sizes: Sizes, corpus: Corpus) -> Iterator[Row]:
    """The longest window of the large model that fits, one window a step."""
    longest = {"ours": 0, "plain": 0}
    for context in sizes.contexts:
        shape = Shape(
            width=sizes.large.width, depth=sizes.large.depth, head_dim=sizes.large.head_dim, context=context
        )
        trunk, mode = trunk_of(shape, context), Mode(precision="bf16", compile=sizes.device.type == "cuda")
        makers: dict[str, Callable[[], Callable[[], None]]] = {
            "ours": lambda t=trunk, m=mode: steps_of(Stack([t], corpus, sizes.device, m)),
            "plain": lambda t=trunk: rival(t, corpus, sizes.device),
        }
        for name, make in makers.items():
            if longest[name] in (0, context // 2):
                with suppress(torch.OutOfMemoryError):
                    make()()
                    wait(sizes.device)
                    longest[name] = context
            forget(sizes.device)
    yield (
        "longest context that fits, one window: ours, plain",
        f"{longest['ours']:,}, {longest['plain']:,}",
        "",
    )


def table(sizes: Sizes, out: Path, ends: float) -> None:
    """Each row as soon as it is known; a part that fails says why in its place, and the others go on."""
    corpus = build_corpus(CorpusSource(source="folder", path=str(ROOT / "scaling")), progress=False)
    path = out / "table.md"
    head = f"{date.today()}, {device_name(sizes.device).partition(',')[0]}, torch {torch.__version__}"
    path.write_text(f"{head}\n\n| what | measured | against |\n|---|---|---|\n")
    for part in (large_rows, memory_rows, stack_rows, context_rows):
        if time.monotonic() > ends:
            rows: Iterator[Row] = iter([(part.__name__, "not measured", "no time was left")])
        else:
            rows = part(sizes, corpus)
        with path.open("a") as file:
            try:
                for row in rows:
                    print("| " + " | ".join(row) + " |", file=file, flush=True)
            except Exception as problem:  # what is left of the time is worth more than this part
                said = str(problem).partition("\n")[0]
                print(
                    f"| {part.__name__} | failed | {type(problem).__name__}: {said} |", file=file, flush=True
                )
        forget(sizes.device)
    print(path.read_text(), flush=True)


# --- tests and ladder -------------------------------------------------------------------------------


def tests(out: Path, *, smoke: bool) -> str:
    """The tests marked gpu, in a process of their own; on a CPU they are collected alone."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "gpu", "tests/train"]
    with (out / "tests.txt").open("w") as file, suppress(subprocess.TimeoutExpired):
        subprocess.run(
            [*command, *["--collect-only"] * smoke],
            cwd=ROOT,
            stdout=file,
            stderr=file,
            timeout=150,
            check=False,
        )
    return (out / "tests.txt").read_text().strip().rpartition("\n")[2]


def train(study: Path, out: Path, device: torch.device, ends: float) -> list[str]:
    """As much of a study as the time allows; what was done for each stack, in words."""
    asked, gpu = read_study(study), device.type == "cuda"
    corpus = build_corpus(asked.source, progress=False)
    memory = 0.9 * torch.cuda.get_device_properties(device).total_memory if gpu else 4e9
    capacity = Capacity(device=device.type, device_name=device_name(device), memory=memory)
    stacks = stack_trunks(asked.trunks, corpus.corpus_hash, capacity)
    said = []
    for stack in sorted(stacks, key=lambda s: s.cost):
        if time.monotonic() > ends:
            said.append(f"{stack.trunks[0].name}: not begun, no time was left")
            continue
        asked_for = Asked(compile=gpu).mode(1, gpu=gpu)
        mode, _ = mode_and_bytes(stack.trunks[0], len(stack.trunks), memory, gpu=gpu, mode=asked_for)
        job = Job(
            study=asked.name,
            folder=out,
            corpus=corpus.folder.resolve(),
            stack=stack,
            device=device.type,
            mode=mode,
        )
        started = time.monotonic()
        status = carry_out(job, lambda: time.monotonic() > ends, lambda _: None)
        seconds = time.monotonic() - started
        ended = {0: "done", EXIT_STOPPED: "stopped as the time was over, its rows so far kept"}.get(
            status, "failed"
        )
        trained = sum(map(tokens_to_train, stack.trunks))
        speed = f", {trained / seconds:,.0f} tokens/s" if status == 0 else ""
        said.append(f"{len(stack.trunks)} × {stack.trunks[0].name}: {ended}, {seconds:.0f} s{speed}")
        print(said[-1], flush=True)
    return said


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for rows, table and log")
    parser.add_argument(
        "--smoke", action="store_true", help="tiny models on the CPU, to see that all of it works"
    )
    parser.add_argument("--minutes", type=float, default=8.5, help="when to stop")
    parser.add_argument("--study", type=Path, help="trained in the time that is left, in place of the ladder")
    asked = parser.parse_args()
    if not asked.smoke and not torch.cuda.is_available():
        parser.error("no CUDA device is there; --smoke runs tiny models on a CPU")
    sizes = SMOKE if asked.smoke else FULL
    began = time.monotonic()
    ends = began + 60 * asked.minutes
    asked.out.mkdir(parents=True, exist_ok=True)
    torch.set_float32_matmul_precision("high")
    torch.set_num_threads(1)  # what a worker has
    said = tests(asked.out, smoke=asked.smoke) if asked.minutes > 1 else "not run, no time was left"
    lines = [f"tests marked gpu: {said}"]
    table(sizes, asked.out, began + (ends - began) / 2)
    study = asked.study or (STUDY / "smoke.toml" if asked.smoke else STUDY)
    lines += train(study, asked.out, sizes.device, ends - 5)
    lines.append(f"{time.monotonic() - began:.0f} s in all")
    (asked.out / "log.md").write_text("".join(f"- {line}\n" for line in lines))
    print("\n".join(lines), flush=True)


if __name__ == "__main__":
    main()
