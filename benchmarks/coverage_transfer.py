"""How often the verdict on transfer is right, on simulated matrices whose truth is known.

    python benchmarks/coverage_transfer.py              # some minutes on one core
    python benchmarks/coverage_transfer.py --worlds 40  # fewer simulated matrices

Matrices as runs/transfer-text has them: sources × targets, four sizes over a factor of 64, five paired seeds, doses 1
and 4, each with a placebo; losses along a power law of the target's own tokens, on which an added token counts as so
many of the target's. Answers to programs: accuracies that lie near none or near all over seeds, with the target's skill
in another form beside it.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import dataclass

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

import numpy as np  # noqa: E402
import polars as pl  # noqa: E402

from scaling.questions import transfer  # noqa: E402
from scaling.show import table  # noqa: E402
from scaling.verdict import Verdict, share_ends  # noqa: E402

FIRST = 70_000
"""Number of the first reported matrix; nothing was chosen on these."""
SIZES = (6_144, 24_576, 98_304, 393_216)
SEEDS = 5
TARGET = 262_144
PAIRS = tuple(
    (source, target)
    for target in ("prose", "code")
    for source in ("code", "prose", "headers", "tables")
    if source != target
)
"""The six pairs of the study; the first is the one that is asked about."""
Worth = Callable[[int, int, np.random.Generator], tuple[float, float]]
"""Target tokens that an added one is worth, of source and placebo, from the number of the pair and of the size."""
Noise = Callable[[np.random.Generator, int], np.ndarray]
"""Of so many arms and five seeds, in nats, what is left after what a seed has in common."""


@dataclass(frozen=True)
class World:
    """What is true, and how it scatters."""

    worth: Worth
    noise: Noise


def normal(rng: np.random.Generator, arms: int) -> np.ndarray:
    """The scatter of the pilot, .012 nats/byte."""
    return 0.012 * rng.normal(size=(arms, SEEDS))


def heavy(rng: np.random.Generator, arms: int) -> np.ndarray:
    """The same with t(3) tails."""
    return 0.012 / np.sqrt(3) * rng.standard_t(3, size=(arms, SEEDS))


def uneven(rng: np.random.Generator, arms: int) -> np.ndarray:
    """Arms that scatter by a factor of two and more differently."""
    return 0.012 * np.exp(0.5 * rng.normal(size=(arms, 1))) * rng.normal(size=(arms, SEEDS))


def nothing(pair: int, size: int, rng: np.random.Generator) -> tuple[float, float]:
    """Pure noise."""
    return 0.0, 0.0


def pilot(pair: int, size: int, rng: np.random.Generator) -> tuple[float, float]:
    """Code to prose as the pilot has it, growing with size; the others as much as their placebos."""
    return ((0.16, 0.19, 0.25, 0.31)[size], (0.07, 0.09, 0.14, 0.19)[size]) if pair == 0 else (0.1, 0.1)


def shared_words(pair: int, size: int, rng: np.random.Generator) -> tuple[float, float]:
    """Every source is worth as much as its placebo."""
    return 0.15, 0.15


def interference(pair: int, size: int, rng: np.random.Generator) -> tuple[float, float]:
    """An added token takes some of the target's away."""
    return -0.06, -0.06


def turning(pair: int, size: int, rng: np.random.Generator) -> tuple[float, float]:
    """It helps small models and hurts large ones."""
    return (0.25, 0.15, 0.0, -0.1)[size], 0.0


def text(world: World, number: int, seeds: int = SEEDS) -> pl.DataFrame:
    """Runs of a matrix on real text."""
    rng = np.random.default_rng([number])
    arms: list[tuple[int, str, float, dict[str, float], float]] = []
    for size, N in enumerate(SIZES):
        alpha, floor = rng.uniform(0.25, 0.35), 1.6 - 0.25 * size

        def loss(tokens: float, alpha: float = alpha, floor: float = floor) -> float:
            return floor + 0.65 * (tokens / TARGET) ** -alpha

        for target in ("prose", "code"):
            budgets = [times * TARGET for times in (0.5, 1, 1.5, 2, 3, 4)]
            arms += [(N, target, tokens, {target: 1.0}, loss(tokens)) for tokens in budgets]
        for pair, (source, target) in enumerate(PAIRS):
            for name, worth in zip((source, f"shuffled {source}"), world.worth(pair, size, rng), strict=True):
                for dose in (1, 4):
                    blend = {target: 1 / (1 + dose), name: dose / (1 + dose)}
                    arms.append((N, target, (1 + dose) * TARGET, blend, loss(TARGET * (1 + worth * dose))))
    common = 0.012 * rng.normal(size=(len(SIZES), 1, SEEDS))
    values = np.array([arm[4] for arm in arms])[:, None] + world.noise(rng, len(arms))
    values += common.repeat(len(arms) // len(SIZES), 1).reshape(len(arms), SEEDS)
    rows = [
        {"run_id": f"{i} {seed}", "N": arm[0], "D": int(arm[2]), "seed": seed, "blend": json.dumps(arm[3]),
         **{f"loss_{d}": values[i, seed] if d == arm[1] else None for d in ("prose", "code")}}
        for i, arm in enumerate(arms) for seed in range(seeds)
    ]  # fmt: skip
    return pl.DataFrame(rows, infer_schema_length=None)


def ask(runs: pl.DataFrame) -> Verdict:
    """About code to prose."""
    placebos = {f"shuffled {source}": source for source, _ in PAIRS}
    return transfer(runs, source="code", target="prose", placebos=placebos)


# --- answers to programs -------------------------------------------------------------------------------------------

SKILLS = ("english", "english, other order")
CHANCE, ALONE = 0.2, 0.3


def programs(number: int, *, form_only: bool) -> pl.DataFrame:
    """Exact answers to English programs with code added, as in the pilot: sudden learning, so values near 0 or near 1.

    Where the surfaces share distances alone, code lifts the English that shares them from .30 to .95 and English in
    another order to .38; where they share the skill, both.
    """
    rng = np.random.default_rng([number, 1])
    rows = []
    for N in SIZES:
        for skill in SKILLS:
            other = skill != SKILLS[0]
            arms = {
                "": ALONE,
                "code": 0.38 if other and form_only else 0.95 - 0.1 * other,
                "shuffled code": ALONE,
                "random answers": 0.33,
            }
            for name, mean in arms.items():
                for seed in range(SEEDS):
                    learned = rng.beta(8 * mean, 8 * (1 - mean))
                    blend = {skill: 0.5, name: 0.5} if name else {skill: 1.0}
                    row = {
                        "run_id": f"{number} {len(rows)}",
                        "N": N,
                        "D": 2**20 if name else 2**19,
                        "seed": seed,
                    }
                    rows.append(row | {"blend": json.dumps(blend), f"loss_{skill}": learned})
    return pl.DataFrame(rows, infer_schema_length=None)


def ask_programs(runs: pl.DataFrame) -> Verdict:
    """About code to English, beside English in another order."""
    return transfer(
        runs, source="code", target=SKILLS[0], placebos={"shuffled code": "code"},
        form_placebos={"random answers": "code"}, other_forms={SKILLS[1]: SKILLS[0]}, higher_is_better=True,
    )  # fmt: skip


# --- table ---------------------------------------------------------------------------------------------------------


def called(verdict: Verdict, answers: tuple[str, ...]) -> bool:
    """Whether the pair that is asked about has one of these answers."""
    return verdict.answer in answers


def any_called(verdict: Verdict, answers: tuple[str, ...]) -> bool:
    """Whether any cell or pair of the matrix has one of these."""
    return any(verdict.evidence[name]["answer"].is_in(answers).any() for name in ("cells", "pairs"))


HELPS, HURTS, OPEN = "helps", "hurts", "cannot be extrapolated"
WORDS, FORM = "more steps or shared words explain it", "shared form explains it"
EFFECTS = (HELPS, HURTS, WORDS, FORM, OPEN)
Row = tuple[str, str, Callable[[int], Verdict], Callable[[Verdict, tuple[str, ...]], bool], tuple[str, ...]]


def _text(worth: Worth, noise: Noise = normal) -> Callable[[int], Verdict]:
    return lambda number: ask(text(World(worth, noise), number))


def _programs(form_only: bool) -> Callable[[int], Verdict]:
    return lambda number: ask_programs(programs(number, form_only=form_only))


ANY = "any effect in any cell or pair, asked ≤ 5"
ROWS: tuple[Row, ...] = (
    ("pure noise", ANY, _text(nothing), any_called, EFFECTS),
    ("pure noise, t(3)", ANY, _text(nothing, heavy), any_called, EFFECTS),
    ("pure noise, uneven arms", ANY, _text(nothing, uneven), any_called, EFFECTS),
    (
        "placebos as good",
        f"“{HELPS}” in any cell or pair, asked ≤ 5",
        _text(shared_words),
        any_called,
        (HELPS,),
    ),
    ("placebos as good", f"“{WORDS}”", _text(shared_words), called, (WORDS,)),
    ("the pilot's effect", f"“{HELPS}”, asked ≥ 90", _text(pilot), called, (HELPS,)),
    ("the pilot's effect, t(3)", f"“{HELPS}”", _text(pilot, heavy), called, (HELPS,)),
    ("the pilot's effect, uneven arms", f"“{HELPS}”", _text(pilot, uneven), called, (HELPS,)),
    ("an added token costs .06 of the target's", f"“{HURTS}”", _text(interference), called, (HURTS,)),
    ("helps small models, hurts large ones", f"“{OPEN}”", _text(turning), called, (OPEN,)),
    ("surfaces share distances, no skill", f"“{FORM}”, asked ≥ 95", _programs(True), called, (FORM,)),
    ("surfaces share the skill", f"“{HELPS}”", _programs(False), called, (HELPS,)),
)


def coverage(world: World, worlds: int) -> list[list[str]]:
    """How often intervals hold the truth where the pilot's effect is true."""
    inside: dict[str, list[bool]] = {"worth": [], "adjusted": [], "slope": []}
    truth = np.array([world.worth(0, size, np.random.default_rng(0)) for size in range(len(SIZES))])
    net = truth[:, 0] - truth[:, 1]
    slope = float(np.polyfit(np.log10(SIZES), net, 1)[0])
    for number in range(worlds):
        evidence = ask(text(world, FIRST + number)).evidence
        cells = evidence["cells"].filter(source="code", target="prose", dose=4.0).sort("N")
        for name, true in (("worth", truth[:, 0]), ("adjusted", net)):
            low, high = (cells[f"{name}_{end}"].to_numpy() for end in ("low", "high"))
            inside[name] += ((low <= true) & (true <= high)).tolist()
        low, high = (
            evidence["pairs"]
            .filter("main", source="code", target="prose")
            .select("slope_low", "slope_high")
            .row(0)
        )
        inside["slope"].append(low <= slope <= high)
    named = {"worth": "exchange rate", "adjusted": "rate beyond the placebo", "slope": "slope of that"}
    return [
        ["the pilot's effect", f"95 % interval of the {named[n]}, asked 95", _share(s, worlds)]
        for n, s in inside.items()
    ]


def _share(hits: list[bool], worlds: int) -> str:
    low, high = share_ends(sum(hits), len(hits), 0.95)
    return f"{100 * np.mean(hits):.1f} % [{100 * low:.1f}, {100 * high:.1f}] of {len(hits)}"


def main() -> None:
    parser = argparse.ArgumentParser(description="False alarms and power of the verdict on transfer.")
    parser.add_argument("--worlds", type=int, default=200, help="simulated matrices of each kind")
    parser.add_argument("--first", type=int, default=FIRST, help="number of the first one")
    asked = parser.parse_args()
    rows = []
    for truth, what, made, counted, answers in ROWS:
        hits = [counted(made(asked.first + number), answers) for number in range(asked.worlds)]
        rows.append([truth, what, _share(hits, asked.worlds)])
        print(*rows[-1], sep="  |  ", flush=True)
    rows += coverage(World(pilot, normal), asked.worlds)
    print(table(["truth", "called", "share, 95 % interval"], rows))


if __name__ == "__main__":
    main()
