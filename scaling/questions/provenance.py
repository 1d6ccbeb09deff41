"""What was trained, on which text and where: the paragraph before any curve."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from scaling import show
from scaling.records import MissingRuns
from scaling.store import open_runs
from scaling.units import print_count
from scaling.verdict import PLACES, Prose, percent

_SAME_RUN = ["N", "D", "unique_budget", "seed", "peak_lr", "kind"]
"""What two machines' rows of one run share, also where their corpora differ."""


def what_was_trained(runs: pl.DataFrame) -> Prose:
    """Sizes, budgets, seeds, text and time in one paragraph."""
    sizes, budgets = runs["N"].unique().sort(), runs["D"].unique().sort()
    trunks, first = runs["trunk_id"].n_unique(), runs.row(0, named=True)
    again = runs.filter(pl.col("epochs") > 1.005)
    text_of = " and ".join(
        f"{count / 1e6:.0f} MB of {domain}" for domain, count in json.loads(first["corpus_bytes"]).items()
    )
    repeats = ""
    if len(again):
        capped = ", ".join(print_count(U, 3) for U in again["unique_budget"].unique().sort())
        repeats = f" {len(again)} of them saw the same {capped} tokens again, up to {again['epochs'].max():.0f} times."
    python = json.loads(first["corpus_versions"])["python"]
    N, D = (f"{print_count(ends[0], 2)} to {print_count(ends[-1], 2)}" for ends in (sizes, budgets))
    return Prose(
        f"**{len(runs)} runs**, cooled from {trunks} trunks of constant rate: {len(sizes)} sizes from {N} parameters "
        f"in the blocks, {len(budgets)} budgets from {D} tokens, {runs['seed'].n_unique()} seeds.{repeats} A token is "
        f"a byte; the text is {text_of} from the standard library of Python {python} and installed packages, and the "
        "loss is measured on files that no run has trained on. Compute is counted product by product, attention and "
        "head included."
    )


def one_corpus(runs: pl.DataFrame) -> pl.DataFrame:
    """The runs on one text, because losses on different texts do not lie on one curve.

    Of several corpora, the one with most runs; where they have as many, the one that this machine trained on.
    """
    corpora = runs.group_by("corpus_hash").agg(pl.len(), here=(pl.col("origin") == "local").any())
    chosen = corpora.sort("len", "here", "corpus_hash")["corpus_hash"][-1]
    if others := runs.height - int((runs["corpus_hash"] == chosen).sum()):
        print(f"left out: {others} runs on another corpus; they are in the table of origins")
    return runs.filter(pl.col("corpus_hash") == chosen)


@dataclass(frozen=True, eq=False)
class Origins:
    """Where rows came from, and how far two machines' rows of the same run differ."""

    table: pl.DataFrame
    """One row for each origin, device, corpus and version of torch: runs."""
    pairs: int
    """Runs that were trained in both places."""
    same_text: bool
    """Whether both read the same corpus."""
    rms_percent: float
    largest_percent: float

    def _sentence(self) -> str:
        if not self.pairs:
            return "There is one set of rows; nothing to compare it with."
        corpus = "on the same text" if self.same_text else "on text of other package versions"
        if self.largest_percent == 0:
            return f"{self.pairs} runs were trained in both places, {corpus}: every loss is the same to the last digit."
        return (
            f"{self.pairs} runs were trained in both places, {corpus}: their losses differ by "
            f"{percent(self.rms_percent)} rms, at most {percent(self.largest_percent)}."
        )

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        rows = [
            [PLACES.get(origin, origin), device, torch, corpus, str(count)]
            for origin, device, torch, corpus, count in self.table.iter_rows()
        ]
        return ["rows", "trained on", "with torch", "corpus", "runs"], rows

    def __str__(self) -> str:
        return f"{show.table(*self._cells())}\n{self._sentence()}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return show.html_table(*self._cells(), self._sentence())


def origins(where: str | Path) -> Origins:
    """The rows of a study by where they were trained; this machine's beside the committed ones, where there are both.

    Raises:
        MissingRuns: the study has no rows at all.
    """
    found: dict[str, pl.DataFrame] = {}
    for origin in ("committed", "local"):
        try:
            found[origin] = open_runs(where, origin=origin)
        except MissingRuns:
            continue
    if not found:
        raise MissingRuns(where, f"Run the sweep first: scaling sweep {where}/study.toml")
    table = (
        pl.concat([rows.with_columns(origin=pl.lit(origin)) for origin, rows in found.items()])
        .with_columns(torch=pl.col("versions").str.json_path_match("$.torch"))
        .group_by("origin", "device", "torch", "corpus_hash", maintain_order=True)
        .agg(pl.len())
    )
    if len(found) < 2:
        return Origins(table, 0, True, np.nan, np.nan)
    both = found["committed"].join(found["local"], on=_SAME_RUN, suffix="_here")
    apart = 100 * (both["loss_here"] / both["loss"] - 1).to_numpy()
    same = bool((both["corpus_hash"] == both["corpus_hash_here"]).all())
    if not len(both):
        return Origins(table, 0, same, np.nan, np.nan)
    return Origins(table, len(both), same, float(np.sqrt(np.mean(apart**2))), float(np.abs(apart).max()))
