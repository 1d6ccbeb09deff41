"""What is known of others' results: which sets there are, whose, under which licence, and how each becomes runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from scaling.published import files
from scaling.published.files import RemoteFile
from scaling.published.scores import benchmark_scores, time_horizons
from scaling.records import reading_table

Reader = Callable[[Path], pl.DataFrame]


@dataclass(frozen=True)
class Source:
    """One set of published results."""

    name: str
    title: str
    paper: str
    licence: str
    units: str
    """What its numbers count, and how its N and C were counted."""
    tidy: str
    """Its table inside the folder that SCALING_PUBLISHED names."""
    shape: Callable[[pl.DataFrame], pl.DataFrame]
    """From the tidy table to the run schema."""
    raw: tuple[RemoteFile, ...] = ()
    """Files that can be fetched; none where the original is a notebook or a pickle."""
    from_raw: Reader | None = None
    """From the folder with the fetched files to the tidy table."""


def _chinchilla(tidy: pl.DataFrame) -> pl.DataFrame:
    return _runs(tidy.rename({"params_N": "N", "tokens_D": "D", "flops_C": "C"}), "total", "6ND")


def _chinchilla_raw(folder: Path) -> pl.DataFrame:
    raw = read_csv(folder / files.CHINCHILLA[0].path)
    N, C = pl.col("Model Size"), pl.col("Training FLOP")
    return raw.select(params_N=N, tokens_D=C / (6.0 * N), flops_C=C, loss="loss")


def _data_constrained(tidy: pl.DataFrame) -> pl.DataFrame:
    names = {
        "params_N": "N",
        "tokens_D": "D",
        "unique_tokens_U": "unique_tokens",
        "flops_C": "C",
        "val_loss": "loss",
    }
    frame = tidy.rename(names | {"seed": "published_seed"}).rename({"run": "name"})
    # the table also marks twelve twins on deduplicated text, which the authors' code skips
    frame = frame.with_columns(pl.col("in_published_fit") & ~pl.col("dedup_subset"))
    return _runs(frame.filter(pl.col("loss").is_not_null()), "as published", "6ND")


def _isoflop(tidy: pl.DataFrame) -> pl.DataFrame:
    frame = tidy.rename({"params_N": "N", "tokens_D": "D", "flops_C": "C"})
    return _runs(frame, pl.col("param_count"), "6ND with that N")


def _overtraining(tidy: pl.DataFrame) -> pl.DataFrame:
    frame = tidy.rename({"params_N": "N", "tokens_D": "D", "loss_c4_val": "loss"})
    frame = frame.with_columns(C=pl.col("flops_C").cast(pl.Float64), M=pl.col("D") / pl.col("N")).drop(
        "flops_C"
    )
    return _runs(frame, "total", "6ND")


def _ladder(tidy: pl.DataFrame) -> pl.DataFrame:
    frame = tidy.rename({"run": "name", "params_N": "N", "tokens_D": "D"})
    loss, C = pl.col("eval.c4_en-validation.CrossEntropyLoss"), pl.col("flops_per_token") * pl.col("D")
    return _runs(frame.with_columns(loss=loss, C=C), "as published", "as its authors log them")


def _schedules_raw(folder: Path) -> pl.DataFrame:
    parts = []
    for file in files.SCHEDULES:
        place = Path(file.path)
        split = "train" if place.stem in ("constant_24000", "cosine_24000", "wsdcon_9") else "test"
        size = int(place.parent.name.removeprefix("csv_"))
        parts.append(read_csv(folder / file.path).select(
            size_M=pl.lit(size, pl.Int64), schedule=pl.lit(place.stem), step="step", lr="lr", loss="loss",
            split=pl.lit(split),
        ))  # fmt: skip
    return pl.concat(parts)


def _schedules(tidy: pl.DataFrame) -> pl.DataFrame:
    return tidy.with_columns(
        N=1e6 * pl.col("size_M"), kind=pl.lit("curve"), n_convention=pl.lit("as published")
    )


_WARMUP = 2160  # steps, of every curve of this source


def _schedule_curves(tidy: pl.DataFrame) -> pl.DataFrame:
    by = ("size_M", "schedule", "split", "N", "n_convention", "kind")
    return (
        _schedules(tidy)
        .sort("size_M", "schedule", "step")
        .group_by(by, maintain_order=True)
        .agg("step", lr_curve="lr", loss_curve="loss", loss=pl.col("loss").last())
        .with_columns(warmup_steps=pl.lit(_WARMUP), status=pl.lit("done"))
    )


def _mixtures_raw(folder: Path) -> pl.DataFrame:
    parts = []
    for split, size in (("train", "1m"), ("test", "1m"), ("test", "60m"), ("test", "1B")):
        shares = read_csv(folder / "data" / f"{split}_mixture_{size}.csv")
        losses = read_csv(folder / "data" / f"{split}_pile_loss_{size}.csv")
        both = shares.join(losses, on="index", how="inner")
        names = {c: c.replace("train_the_pile_", "w_") for c in shares.columns if c != "index"}
        scored = [c for c in losses.columns if c != "index"]
        names |= {c: "loss_" + c.removeprefix("metric/the_pile_").removesuffix("_val_loss") for c in scored}
        parts.append(both.rename(names).with_columns(split=pl.lit(split), size=pl.lit(size)))
    return pl.concat(parts, how="vertical_relaxed")


def _mixtures(tidy: pl.DataFrame) -> pl.DataFrame:
    sizes = {"1m": 1e6, "60m": 6e7, "1B": 1e9}
    N = pl.col("size").replace_strict(sizes, return_dtype=pl.Float64)
    return tidy.with_columns(N=N, loss=pl.col("loss_pile_cc"), n_convention=pl.lit("as published"))


def _scores_raw(folder: Path) -> pl.DataFrame:
    return read_csv(folder / files.SCORES[0].path)


def _scores(tidy: pl.DataFrame) -> pl.DataFrame:
    billions, trillions, flops = (
        pl.col(c) for c in ("Model Size (B)", "Pretraining Data Size (T)", "FLOPs (1E21)")
    )
    named = {"Model": "name", "Model Family": "family"}
    return tidy.rename(named).with_columns(
        N=1e9 * billions,
        D=1e12 * trillions,
        C=1e21 * flops,
        n_convention=pl.lit("as published"),
        flops_convention=pl.lit("6ND"),
    )


def _benchmarks_raw(folder: Path) -> pl.DataFrame:
    return benchmark_scores(folder, read_strings)


def _horizons_raw(folder: Path) -> pl.DataFrame:
    return time_horizons(folder, read_strings)


def _as_it_is(tidy: pl.DataFrame) -> pl.DataFrame:
    return tidy


def _runs(frame: pl.DataFrame, n_convention: str | pl.Expr, flops_convention: str) -> pl.DataFrame:
    """The columns that every final run has in the schema, where the source leaves them out."""
    convention = pl.lit(n_convention) if isinstance(n_convention, str) else n_convention
    frame = frame.with_columns(
        pl.col("N", "D", "C").cast(pl.Float64),
        n_convention=convention,
        flops_convention=pl.lit(flops_convention),
        kind=pl.lit("annealed"),
        status=pl.lit("done"),
    )
    if "unique_tokens" not in frame.columns:
        frame = frame.with_columns(unique_tokens=pl.col("D"))
    return frame.with_columns(epochs=pl.col("D") / pl.col("unique_tokens"))


_LISTED = (
    Source(
        name="chinchilla",
        title="245 runs of the figure that approach 3 was fitted to; the refit drops the five largest losses",
        paper="Hoffmann et al. 2022, arXiv:2203.15556, extracted by Besiroglu et al. 2024, arXiv:2404.10102",
        licence="none stated by the extracting repository; MIT where mcleish7/gemstone-scaling-laws has the same bytes",
        units="loss in nats/token; N is all parameters, C = 6ND",
        tidy="chinchilla_besiroglu/chinchilla_points.csv",
        shape=_chinchilla,
        raw=files.CHINCHILLA,
        from_raw=_chinchilla_raw,
    ),
    Source(
        name="data-constrained",
        title="308 runs with and without repeated tokens; in_published_fit marks the 182 that were fitted",
        paper="Muennighoff et al. 2023, arXiv:2305.16264",
        licence="Apache-2.0",
        units="validation loss in nats/token; N as its authors name it, C = 6ND; unique_tokens is the cap",
        tidy="datablations_muennighoff/runs_all.csv",
        shape=_data_constrained,
    ),
    Source(
        name="isoflop",
        title="1745 points on isoFLOP curves under several recipes",
        paper="Porian et al. 2024, arXiv:2406.19146",
        licence="MIT",
        units="loss in nats/token; n_convention says which parameters N is, and C = 6ND with that N",
        tidy="porian_isoflop/isoflop_points.csv",
        shape=_isoflop,
    ),
    Source(
        name="isoflop-fits",
        title="exponents that were read off those points, one row per recipe",
        paper="Porian et al. 2024, arXiv:2406.19146",
        licence="MIT",
        units="dimensionless exponents; coefficients in parameters and tokens at C = 1",
        tidy="porian_isoflop/published_fits.csv",
        shape=_as_it_is,
    ),
    Source(
        name="overtraining",
        title="104 runs on three corpora, up to 640 tokens per parameter",
        paper="Gadre et al. 2024, arXiv:2403.08540",
        licence="MIT",
        units="loss is that on C4 in nats/token; N is all parameters, C = 6ND; accuracies are shares",
        tidy="gadre_overtraining/runs.csv",
        shape=_overtraining,
    ),
    Source(
        name="ladder",
        title="final checkpoints of a model ladder with the 7B and 13B that it predicted",
        paper="Bhagia et al. 2024, arXiv:2412.04403",
        licence="Apache-2.0",
        units="loss is that on C4 in nats/token; N and C as its authors log them",
        tidy="olmo_ladder_bhagia/final_checkpoint_per_run.csv",
        shape=_ladder,
    ),
    Source(
        name="mixtures",
        title="losses on 13 domains of blends of 17, at 1M, 60M and 1B parameters; loss is that on Pile-CC",
        paper="Liu et al. 2024, arXiv:2407.01492",
        licence="MIT",
        units="losses in nats/token; w_ columns are shares of tokens; N as published",
        tidy="regmix/mixture_loss.csv",
        shape=_mixtures,
        raw=files.MIXTURES,
        from_raw=_mixtures_raw,
    ),
    Source(
        name="schedules",
        title="loss curves at three sizes under nine learning-rate schedules",
        paper="Luo et al. 2025, arXiv:2503.12811",
        licence="MIT",
        units="training loss in nats/token; step is one update; N as published",
        tidy="multipower_law/loss_curves.csv",
        shape=_schedules,
        raw=files.SCHEDULES,
        from_raw=_schedules_raw,
    ),
    Source(
        name="schedule-curves",
        title="those curves one to a row: list columns step, lr_curve and loss_curve; loss is the last one",
        paper="Luo et al. 2025, arXiv:2503.12811",
        licence="MIT",
        units="training loss in nats/token; step is one update; N as published",
        tidy="multipower_law/loss_curves.csv",
        shape=_schedule_curves,
        raw=files.SCHEDULES,
        from_raw=_schedules_raw,
    ),
    Source(
        name="scores",
        title="benchmark scores and compute of public base models",
        paper="Ruan et al. 2024, arXiv:2405.10938",
        licence="Apache-2.0",
        units="scores are shares of right answers; N, D and C as its authors state them, C = 6ND",
        tidy="obsscaling_ruan/base_llm_benchmark_eval.csv",
        shape=_scores,
        raw=files.SCORES,
        from_raw=_scores_raw,
    ),
    Source(
        name="benchmarks",
        title="benchmark scores of public models by release date",
        paper="Epoch AI, benchmark-stitching",
        licence="MIT",
        units="performance is a share from 0 to 1, not corrected for guessing",
        tidy="epoch_benchmarks/scores_all.csv",
        shape=_as_it_is,
        raw=files.BENCHMARKS,
        from_raw=_benchmarks_raw,
    ),
    Source(
        name="horizons",
        title="length of the tasks that public models do half of, by release date",
        paper="METR, by way of Epoch AI",
        licence="MIT",
        units="p50_horizon_min and its interval are minutes of human time",
        tidy="epoch_benchmarks/metr_time_horizon.csv",
        shape=_as_it_is,
        raw=files.HORIZONS,
        from_raw=_horizons_raw,
    ),
    Source(
        name="learning-curves",
        title="error and loss against examples seen, split into a fitted and an extrapolated part",
        paper="Alabdulmohsin et al. 2022, arXiv:2209.06640",
        licence="MIT (IBM/ColPret)",
        units="loss is an error rate or a cross-entropy, by task; seen_examples counts examples",
        tidy="learning_curves/curves.csv",
        shape=_as_it_is,
    ),
)

SOURCES: dict[str, Source] = {source.name: source for source in _LISTED}
"""Every source by its name."""


def read_csv(path: Path) -> pl.DataFrame:
    """A CSV file, each column as what all its values are.

    Raises:
        UnreadableTable: not a table.
    """
    return _read(path, infer_schema_length=None)


def read_strings(path: Path) -> pl.DataFrame:
    """A CSV file, every column as it is written.

    Raises:
        UnreadableTable: not a table.
    """
    return _read(path, infer_schema_length=0)


def _read(path: Path, *, infer_schema_length: int | None) -> pl.DataFrame:
    with reading_table(path):
        return pl.read_csv(path, infer_schema_length=infer_schema_length)
