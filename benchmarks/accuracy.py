"""How near a fit comes: published fits made again, and published learning curves extrapolated.

    SCALING_PUBLISHED=DIR python benchmarks/accuracy.py             # about a minute
    SCALING_PUBLISHED=DIR python benchmarks/accuracy.py --part extrapolation

Two parts. The first has the published number beside the one reached here with the same data.
The second extrapolates published learning curves, by `extrapolate` and by single laws fitted to the same points, and
counts how often the intervals of `extrapolate` hold what was held out: the published end of each curve, and the last
doubling, and the last but one, of what is before that end.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

import numpy as np  # noqa: E402
import polars as pl  # noqa: E402

from scaling.fitting import extrapolate, fit  # noqa: E402
from scaling.laws import (  # noqa: E402
    MUENNIGHOFF_2023,
    along,
    bnsl,
    chinchilla,
    describe,
    m3,
    m4,
    overtraining,
    power_law,
    power_law_floor,
    power_mean,
)
from scaling.published import open_published  # noqa: E402
from scaling.reproduce import (  # noqa: E402
    chinchilla_fit,
    isoflop_sweeps,
    ladder_fit,
    mixture_fit,
    overtraining_fit,
    repetition_fit,
    repetition_r2,
    schedule_table,
)
from scaling.show import table  # noqa: E402

LEVELS = (0.5, 0.8, 0.95)
RIVALS = {
    "M1: power law": power_law,
    "M2: power law and floor": power_law_floor,
    "M3: floor inside the power": m3,
    "M4: from guessing to a floor": m4,
    "BNSL: one break": bnsl(1),
}
FEWEST = 6  # points before a doubling that is held out of the training part
Row = list[str]


def found_again() -> list[Row]:
    """Published numbers beside ours."""
    return [
        *_chinchilla(), *_isoflop(), *_data_constrained(), *_schedules(), *_overtraining(), *_ladder(),
        *_mixtures(),
    ]  # fmt: skip


def _chinchilla() -> list[Row]:
    plain, free = chinchilla_fit(), chinchilla_fit(likelihood=True, bootstrap=4000)
    rows = [["Chinchilla, Huber on log loss", "objective", "0.001018274", f"{plain.objective:.9f}"]]
    for p, value in {"E": "1.81722", "alpha": ".34731", "beta": ".36717"}.items():
        rows.append(["", p, value, f"{plain.params[p]:.5f}".replace("0.", ".")])
    published = {
        "A": ("482.006", "124.5"), "B": ("2085.434", "1293"), "E": ("1.81686", ".0257"),
        "alpha": (".34781", ".0154"), "beta": (".36585", ".0206"),
    }  # fmt: skip
    for i, (p, (value, error)) in enumerate(published.items()):
        ours = f"{free.params[p]:.6g} ± {free.stderr[p]:.3g}"
        rows.append(["Chinchilla, Huber likelihood" if i == 0 else "", p, f"{value} ± {error}", ours])
    return rows


def _isoflop() -> list[Row]:
    rows = []
    for sweep in isoflop_sweeps().iter_rows(named=True):
        recipe = "{dataset}, {hparams}, {warmup} warm-up, {decay} decay, N and C as {param_count}".format(
            **sweep
        )
        ours = "{a:.4f} ± {a_stderr:.4f}; parabola {a_parabola:.3f}, cubic {a_cubic:.3f}".format(**sweep)
        rows.append(
            ["isoFLOP exponent of N" if not rows else "", recipe, f"{sweep['published_a']:.4f}", ours]
        )
    return rows


def _data_constrained() -> list[Row]:
    value = MUENNIGHOFF_2023(6.34e9, 242e9, 25e9)
    within, beyond = repetition_fit(), repetition_fit(beyond=True)
    rows = [
        ["data-constrained", "L(6.34e9, 242e9, 25e9)", "2.2256440889984477", f"{value:.16f}"],
        ["", "R² of the published constants", "0.77220", f"{repetition_r2(15.387756, 5.309743):.5f}"],
    ]
    for fitted, words in ((within, "R_D, R_N up to 20"), (beyond, "R_D, R_N anywhere")):
        R_D, R_N = fitted.params["R_D"], fitted.params["R_N"]
        ours = f"{R_D:.2f}, {R_N:.2f}; {repetition_r2(R_D, R_N):.5f}; {fitted.objective:.7f}"
        theirs = "15.39, 5.31; 0.77220; 0.0158259" if fitted is within else ""
        rows.append(["", f"{words}; R²; objective", theirs, ours])
    return rows


def _schedules() -> list[Row]:
    rows = []
    for one in schedule_table().iter_rows(named=True):
        number = f"{one['size_M']}M, {one['law']}: R², mean over schedules and pooled"
        theirs = f"{one['published_r2_mean']:.4f}" if one["published_r2_mean"] else ""
        ours = f"{one['r2_mean']:.4f}, {one['r2_pooled']:.4f}"
        rows.append(["unseen schedules" if not rows else "", number, theirs, ours])
    return rows


def _overtraining() -> list[Row]:
    runs = open_published("overtraining").filter(dataset="rpj")
    fitted = overtraining_fit()
    rows = []
    for name, theirs in (("rpj-open_lm_1b-32.0", "0.71 %"), ("rpj-open_lm_7b-1.0", "0.73 %")):
        one = runs.filter(name=name)
        miss = overtraining(one["C"][0], one["M"][0], **fitted.params) / one["loss"][0] - 1.0
        rows.append(
            [
                "over-training, C4 loss" if not rows else "",
                f"relative error on {name}",
                theirs,
                f"{100 * abs(miss):.2f} %",
            ]
        )
    return rows


def _ladder() -> list[Row]:
    large = open_published("ladder").filter(name="peteish13_eval_final")
    rows = []
    for law in (chinchilla, power_mean):
        fitted = ladder_fit(law)
        value = float(law(large["N"][0], large["D"][0], **fitted.params))
        measured = large["loss"][0]
        rows.append([
            "model ladder" if not rows else "", f"C4 loss at 13B by {fitted.name} (measured {measured:.4f})", "2.3444",
            f"{value:.4f}",
        ])  # fmt: skip
    return rows


def _mixtures() -> list[Row]:
    test, fitted = open_published("mixtures").filter(size="1B"), mixture_fit()
    shares = describe(fitted.law).column_names
    predicted = fitted.law(*(test[c].to_numpy() for c in shares), **fitted.params)
    rank = float(np.corrcoef(_ranks(predicted), _ranks(test["loss"].to_numpy()))[0, 1])
    return [["mixtures, 1M to 1B", "rank correlation, Pile-CC loss", "at least 0.87", f"{rank:.3f}"]]


def learning_curves() -> tuple[list[Row], list[Row]]:
    """Misses of single laws and of `extrapolate` on the published ends, and how often its intervals hold."""
    curves = [
        (domain == "IC", curve.filter(is_training=1), curve.filter(is_training=0))
        for (domain, *_), curve in open_published("learning-curves").group_by(
            "domain", "task", "model", maintain_order=True
        )
    ]
    image = np.array([kind for kind, *_ in curves])
    misses = []
    for name, law in RIVALS.items():
        law = along(law, "seen_examples")
        missed = [
            _miss(law(_scale(unseen), **fit(law, seen, bootstrap=0).params), unseen)
            for _, seen, unseen in curves
        ]
        misses.append([name, *_mean_and_median(missed, image)])
    ends = [_held(seen, unseen) for _, seen, unseen in curves]
    misses.append(["extrapolate", *_mean_and_median([miss for miss, _ in ends], image)])
    inside = []
    for words, kind in (("image", True), ("language", False)):
        held = [shares for (_, shares), one in zip(ends, image, strict=True) if one == kind]
        inside.append([f"{words}: published end", *_shares(held), f"{len(held)} curves"])
        held = [
            _held(seen, unseen)[1]
            for is_image, whole, _ in curves
            if is_image == kind
            for seen, unseen in _doublings(whole)
        ]
        inside.append([f"{words}: doublings before it", *_shares(held), f"{len(held)} doublings"])
    return misses, inside


def _doublings(curve: pl.DataFrame) -> list[tuple[pl.DataFrame, pl.DataFrame]]:
    """The last doubling held out of a curve, and the one before it out of what is left."""
    x = pl.col("seen_examples")
    last = _scale(curve).max()
    parts = [
        (curve.filter(x <= end), curve.filter((x > end) & (x <= 2 * end))) for end in (last / 2, last / 4)
    ]
    return [(seen, unseen) for seen, unseen in parts if len(seen) >= FEWEST and len(unseen)]


def _held(seen: pl.DataFrame, unseen: pl.DataFrame) -> tuple[float, list[float]]:
    """Miss of the median, and the share of points inside each interval."""
    bands = [extrapolate(seen, level=level, seen_examples=_scale(unseen)) for level in LEVELS]
    loss = unseen["loss"].to_numpy()
    shares = [float(np.mean((band.low <= loss) & (loss <= band.high))) for band in bands]
    return _miss(bands[0].median, unseen), shares


def _miss(predicted: np.ndarray, unseen: pl.DataFrame) -> float:
    return float(np.sqrt(np.mean(np.log(predicted / unseen["loss"].to_numpy()) ** 2)))


def _mean_and_median(misses: list[float], image: np.ndarray) -> Row:
    parts = (np.array(misses)[image], np.array(misses)[~image])
    return [f"{part.mean():.4f} / {np.median(part):.4f}" for part in parts]


def _shares(held: list[list[float]]) -> Row:
    return [f"{100 * share:.0f} %" for share in np.mean(held, axis=0)]


def _scale(curve: pl.DataFrame) -> np.ndarray:
    return curve["seen_examples"].to_numpy()


def _ranks(values: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(values))


def _folder() -> Path:
    return Path(os.environ["SCALING_PUBLISHED"])


def main() -> None:
    parser = argparse.ArgumentParser(description="Published fits made again, and curves extrapolated.")
    parser.add_argument("--part", choices=["published", "extrapolation"], help="one part alone")
    options = parser.parse_args()
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    os.environ.setdefault("SCALING_PUBLISHED", str(beside))
    if not _folder().is_dir():
        sys.exit(f"no {_folder()}; name the folder of published results in SCALING_PUBLISHED")
    intervals = [f"{100 * level:.0f} % interval" for level in LEVELS]
    if options.part in (None, "published"):
        print(table(["published fit", "number", "published", "here"], found_again()), end="\n\n")
    if options.part in (None, "extrapolation"):
        misses, inside = learning_curves()
        print(table(["miss of log loss, mean / median over curves", "image", "language"], misses), end="\n\n")
        print(table(["held out and inside, mean over curves", *intervals, "held out"], inside))


if __name__ == "__main__":
    main()
