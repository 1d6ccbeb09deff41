"""Rows that look wrong: summaries of the others, and numbers that seem to be in another unit than their neighbours."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scaling.intake.raw import Raw

_SUMMARIES = {
    "mean", "average", "avg", "total", "sum", "median", "std", "stdev", "std dev", "sd", "stderr", "min", "max",
    "minimum", "maximum", "count", "overall", "grand total", "mittelwert", "summe", "moyenne", "media", "geomean",
}  # fmt: skip
_COUNTS = ("N", "D", "C", "unique_tokens")
_APART = 2.6  # decades that a value must stray: a factor of 1000, give or take
_FEW = 0.25  # of the rows, at most; more are no strays
_TOO_FEW = 1e3  # no model has so few parameters, nor a training so few tokens or FLOPs
_LOGARITHMS = (2.0, 30.0)  # between which log10 of a count lies
_OFF_EPOCHS = 0.1  # share by which epochs may differ from D / unique_tokens: some count whole ones
_SOME = 6  # runs from which on it is no chance that all have fewer tokens than parameters
_MOST = {"N": 1e15, "D": 1e17, "unique_tokens": 1e17, "C": 1e32}  # a hundred times what anybody speaks of
_MOST_LOSS = 15.0  # nats/token; a guess among a million tokens loses 13.8
_UNITS = (3, 6, 9, 12, -3, -6, -9, -12)  # powers of ten between units

Array = NDArray[np.float64]


def summary_rows(raw: Raw, frame: pl.DataFrame) -> dict[int, str]:
    """Rows at the end that sum up those above them, each with what shows it.

    One that is called "mean" or "total" and has no number where the others do, or theirs; or one without a name that
    holds the means, or the sums, of all the columns above it to the digits it is written with.

    Args:
        raw: the table as it was written.
        frame: the same rows, numbers as numbers.
    """
    numeric = [n for n, kind in frame.schema.items() if kind.is_numeric()]
    texts = (n for n, kind in raw.frame.schema.items() if kind == pl.String and n != "kind")
    called = {n: names_summary(raw.frame[n]) for n in texts}
    out: dict[int, str] = {}
    for row in range(frame.height - 1, 1, -1) if numeric else ():
        label = next((n for n, said in called.items() if said[row]), None)
        above = frame.select(numeric).head(row)
        values = frame.select(numeric).row(row)
        gaps = [
            n for n, v in zip(numeric, values, strict=True) if v is None and above[n].null_count() * 2 < row
        ]
        alike = [_agrees(above[n], v) for n, v in zip(numeric, values, strict=True) if v is not None]
        known = [a for a in alike if a is not None]
        if label and (gaps or any(known)):
            out[row] = f"called {raw.frame[label][row]!r} in column {label}"
        elif row >= 3 and known and all(known) and len(set(known)) == 1 and (len(known) > 1 or gaps):
            out[row] = f"which holds the {known[0]} of the rows above it"
        else:
            break
    return out


def names_summary(text: pl.Series) -> pl.Series:
    """Which cells say that their row sums up others: "mean", "Total:"."""
    words = text.str.strip_chars().str.to_lowercase().str.strip_chars_end(":.")
    return words.is_in(list(_SUMMARIES)).fill_null(False)


def _agrees(above: pl.Series, value: float) -> str | None:
    """Whether a value is the mean or the sum of a column, "" where neither; None of a column that does not vary."""
    numbers = above.cast(pl.Float64).drop_nulls().to_numpy()
    numbers = numbers[np.isfinite(numbers)]
    if len(numbers) < 2 or np.ptp(numbers) == 0 or not np.isfinite(value):
        return None if len(numbers) < 2 or value == numbers[0] else ""
    exponent = Decimal(repr(value)).normalize().as_tuple().exponent
    rounding = 0.5 * 10.0 ** float(exponent) if isinstance(exponent, int) else 0.0
    for name, of_all in (("means", numbers.mean()), ("sums", numbers.sum())):
        if abs(value - of_all) <= min(rounding, 5e-3 * abs(of_all)) + 1e-9 * abs(of_all):
            return name
    return ""


@dataclass(frozen=True)
class Doubt:
    """Rows whose value of a column does not go with the others."""

    column: str
    rows: tuple[int, ...]
    words: str


def doubts(frame: pl.DataFrame) -> tuple[Doubt, ...]:
    """Rows that seem to be in other units than the rest, a column at a time.

    Eight looks: losses that no model starts at; fewer tokens than parameters throughout; counts beyond all that exist;
    epochs against D and unique tokens; counts that are all so small that they are no counts; C against 6ND; the loss
    against a smooth surface of log N and log D, which the row meets when one count is moved by a thousand, a million
    and so on; and, where no loss can tell, a gap of that size between a few values and the rest. In the last three more
    than a quarter of the rows are never doubted.
    """
    numbers = {
        n: frame[n].cast(pl.Float64).fill_null(np.nan).to_numpy()
        for n in (*_COUNTS, "loss")
        if n in frame.columns and frame[n].dtype.is_numeric()
    }
    counts = {n: v for n, v in numbers.items() if n != "loss"}
    seen: dict[str, set[int]] = {}
    out = []
    for doubt in (
        *_off_epochs(frame, counts),
        *(doubt for name, values in counts.items() for doubt in _too_few(name, values)),
        *_off_six(counts),
        *_off_surface(counts, numbers.get("loss")),
        *_off_loss(numbers.get("loss")),
        *_too_high(numbers.get("loss")),
        *_swapped(counts),
        *_too_many(counts),
    ):
        rows = tuple(r for r in doubt.rows if r not in seen.setdefault(doubt.column, set()))
        seen[doubt.column] |= set(rows)
        out += [Doubt(doubt.column, rows, doubt.words)] if rows else []
    return tuple(out)


def _few(mask: NDArray[np.bool_]) -> tuple[int, ...]:
    """The rows of a mask; none where they are too many to be strays."""
    return tuple(np.flatnonzero(mask).tolist()) if 0 < mask.sum() <= _FEW * len(mask) else ()


def too_few(name: str, values: Array) -> str:
    """What a column that is called a count and holds none may be instead; "" where it may be one."""
    known = values[np.isfinite(values)]
    if not len(known) or known.max() > _TOO_FEW:
        return ""
    low, high = float(known.min()), float(known.max())
    ways = f"in millions or billions say units={{{name!r}: 'B'}}"
    if _LOGARITHMS[0] <= low and high <= _LOGARITHMS[1]:
        ways = f"if they are log10 of counts, make {name}=10.0 ** pl.col({name!r}); {ways}"
    return f"{name} runs from {low:.4g} to {high:.4g}, and counts are larger: {ways}"


def _too_few(name: str, values: Array) -> Iterator[Doubt]:
    if words := too_few(name, values):
        yield Doubt(name, tuple(range(len(values))), words)


def off_epochs(epochs: Array, D: Array, unique: Array) -> NDArray[np.bool_]:
    """Rows whose epochs are not what D and the unique tokens make."""
    with np.errstate(all="ignore"):
        return np.abs(epochs / np.maximum(D / unique, 1.0) - 1.0) > _OFF_EPOCHS


def _off_epochs(frame: pl.DataFrame, counts: dict[str, Array]) -> Iterator[Doubt]:
    """Epochs that contradict the tokens beside them."""
    if not {"D", "unique_tokens"} <= set(counts) or "epochs" not in frame.columns:
        return
    if not frame["epochs"].dtype.is_numeric():
        return
    epochs = frame["epochs"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    rows = tuple(np.flatnonzero(off_epochs(epochs, counts["D"], counts["unique_tokens"])).tolist())
    if rows:
        made = counts["D"][rows[0]] / counts["unique_tokens"][rows[0]]
        yield Doubt(
            "epochs", rows, f"epochs says {epochs[rows[0]]:.3g} where D / unique_tokens makes {made:.3g}"
        )


def _off_six(counts: dict[str, Array]) -> Iterator[Doubt]:
    """C a thousand times off 6ND in some rows, and not in the others."""
    if not {"N", "D", "C"} <= set(counts):
        return
    with np.errstate(all="ignore"):
        ratio = np.log10(counts["C"] / (6.0 * counts["N"] * counts["D"]))
        off = ratio - np.median(ratio[np.isfinite(ratio)]) if np.isfinite(ratio).any() else ratio
    if rows := _few(np.abs(off) > _APART):
        times = float(np.median(10.0 ** off[list(rows)]))
        yield Doubt("C", rows, f"C is {times:.1g} times what it is to N·D in the other rows")


def _off_surface(counts: dict[str, Array], loss: Array | None) -> Iterator[Doubt]:
    """Counts that a loss goes with only when they are moved by a power of a thousand."""
    predictors = {n: counts[n] for n in ("N", "D") if n in counts} or {
        n: v for n, v in counts.items() if n == "C"
    }
    positive = {n: np.where(v > 0, v, np.nan) for n, v in predictors.items()}
    logs = {n: np.log10(v) for n, v in positive.items() if len(np.unique(v[np.isfinite(v)])) > 2}
    width = 1 + len(logs) + len(logs) * (len(logs) + 1) // 2
    usable = np.zeros(0, bool)
    if loss is not None and logs:
        usable = np.isfinite([*logs.values()]).all(0) & np.isfinite(loss) & (loss > 0)
        if {"D", "unique_tokens"} <= set(counts):  # text repeated often is another surface
            usable &= ~(counts["D"] > 4.0 * counts["unique_tokens"])
    if loss is None or usable.sum() < 2 * width:
        for name, values in counts.items():
            yield from _off_by_gap(name, values)
        return
    z, y, where = np.stack([*logs.values()], 1)[usable], np.log(loss[usable]), np.flatnonzero(usable)
    for j, power, rows in _slips(z, y):
        name = [*logs][j]
        words = f"the loss goes with that of the other rows when {name} is multiplied by 1e{power}"
        yield Doubt(name, tuple(where[list(rows)].tolist()), words)


def _slips(z: Array, y: Array) -> Iterator[tuple[int, int, tuple[int, ...]]]:
    """Columns of z, and by how much rows have to be moved along them to meet the surface that the others lie on."""
    center, spread = np.median(z, 0), np.maximum(np.subtract(*np.quantile(z, [0.9, 0.1], axis=0)), 0.1)
    surface = _trimmed((z - center) / spread, y)
    miss = np.abs(y - _design((z - center) / spread) @ surface)
    scale = max(1.5 * float(np.median(miss)), 1e-4)
    left = miss > max(8.0 * scale, 0.05)
    low, high = z[~left].min(0) - 0.5, z[~left].max(0) + 0.5
    meets: dict[tuple[int, int], NDArray[np.bool_]] = {}
    for j, power in itertools.product(range(z.shape[1]), _UNITS):
        moved = z + power * (np.arange(z.shape[1]) == j)
        fits = np.abs(y - _design((moved - center) / spread) @ surface) < max(3.0 * scale, 0.03)
        meets[j, power] = left & fits & (moved[:, j] > low[j]) & (moved[:, j] < high[j])
    by_rows = sorted(meets.items(), key=lambda item: -item[1].sum())
    for (j, power), mask in by_rows:  # one slip explains as many rows as it can
        if rows := _few(mask & left):
            left[list(rows)] = False
            yield j, power, rows


def _design(z: Array) -> Array:
    """A constant, each column, and their products: a quadratic surface."""
    pairs = [z[:, i] * z[:, j] for i in range(z.shape[1]) for j in range(i, z.shape[1])]
    return np.stack([np.ones(len(z)), *z.T, *pairs], 1)


def _trimmed(z: Array, y: Array) -> NDArray[Any]:
    """Least trimmed squares over three quarters of the rows, from 200 small samples; the same for the same rows."""
    generator = np.random.default_rng(0)
    design = _design(z)
    kept = max(int(0.75 * len(y)), design.shape[1])
    best, lowest = np.zeros(design.shape[1]), np.inf
    for _ in range(200):
        chosen = generator.choice(len(y), min(design.shape[1] + 2, len(y)), replace=False)
        for _ in range(4):
            surface = np.linalg.lstsq(design[chosen], y[chosen], rcond=1e-8)[0]
            squares = (y - design @ surface) ** 2
            chosen = np.argpartition(squares, kept - 1)[:kept]
        if squares[chosen].sum() < lowest:
            best, lowest = surface, squares[chosen].sum()
    return best


def _off_by_gap(name: str, values: Array) -> Iterator[Doubt]:
    """A few values a thousand times from all the others."""
    good = np.isfinite(values) & (values > 0)
    order = np.unique(values[good])
    if good.sum() < 6 or len(order) < 3:
        return
    gaps = np.log10(order[1:] / order[:-1])
    cut = int(np.argmax(gaps))
    if gaps[cut] < _APART:
        return
    below = good & (values <= order[cut])
    for mask in (below, good & ~below):
        if rows := _few(mask):
            yield Doubt(name, rows, f"{name} is {10 ** gaps[cut]:.1g} times from its nearest neighbour")


def _off_loss(loss: Array | None) -> Iterator[Doubt]:
    """Losses thirty times the median, or a thirtieth of it: another unit, or a run that failed."""
    if loss is None or not (np.isfinite(loss) & (loss > 0)).any():
        return
    with np.errstate(all="ignore"):
        off = np.abs(np.log(loss / np.median(loss[np.isfinite(loss) & (loss > 0)])))
    if rows := _few(off > np.log(30.0)):
        yield Doubt("loss", rows, "the loss is thirty times from the median")


def too_high(loss: Array) -> str:
    """What a column that is called a loss may be instead; "" where it may be one."""
    known = loss[np.isfinite(loss)]
    if not len(known) or float(np.median(known)) <= _MOST_LOSS:
        return ""
    return (
        f"the loss is {np.median(known):.4g} in the middle, and a guess among a million tokens loses 13.8 nats: if it "
        "is a perplexity say units={'loss': 'perplexity'}"
    )


def _too_high(loss: Array | None) -> Iterator[Doubt]:
    if loss is not None and (words := too_high(loss)):
        yield Doubt("loss", tuple(range(len(loss))), words)


def _swapped(counts: dict[str, Array]) -> Iterator[Doubt]:
    """Every run with fewer tokens than parameters, which hardly anybody trains: N and D may stand for each other."""
    if "N" in counts and "D" in counts and len(counts["D"]) >= _SOME and np.all(counts["D"] < counts["N"]):
        words = (
            "D is below N in every run: if they were taken for each other say columns={'N': 'D', 'D': 'N'}"
        )
        yield Doubt("D", tuple(range(len(counts["D"]))), words)


def _too_many(counts: dict[str, Array]) -> Iterator[Doubt]:
    """Counts in the middle of a column that are larger than there can be, as of a unit that was said twice."""
    for name, values in counts.items():
        known = values[np.isfinite(values)]
        if len(known) and np.median(known) > _MOST[name]:
            words = f"{name} is {np.median(known):.2g} in the middle, more than there is: was its unit said twice? "
            yield Doubt(name, tuple(range(len(values))), f"{words}Leave it out of units")
