"""What was trained, on which text and where: the paragraph before any curve."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from scaling.corpora.corpus import BYTES
from scaling.records import MissingRuns
from scaling.show import Shown, Table
from scaling.store import open_runs
from scaling.units import counted, print_count
from scaling.verdict import PLACES, Prose, percent

_SAME_RUN = ["N", "D", "unique_budget", "seed", "peak_lr", "kind"]
"""What two machines' rows of one run share, also where their corpora differ."""


def what_was_trained(runs: pl.DataFrame) -> Prose:
    """Sizes, budgets, seeds, text and time in one paragraph, as far as the rows say them.

    Args:
        runs: rows of a study, whatever its corpus, or any table of runs; a column that is not there is not spoken of.
    """
    return Prose(" ".join([_counts(runs), *_repeats(runs), *_text(runs), *_conventions(runs)]))


def _counts(runs: pl.DataFrame) -> str:
    conventions = _values(runs, "n_convention")
    where = " in the blocks" if conventions == ["matrices"] else ""
    parts = [
        _counted(runs, "N", "size", f"parameters{where}"),
        _counted(runs, "D", "budget", "tokens"),
        counted(len(seeds), "seed") if (seeds := _values(runs, "seed")) else "",
    ]
    what = f"**{counted(len(runs), 'run' if 'N' in runs.columns else 'row')}**"
    if _values(runs, "kind") == ["annealed"] and (trunks := _values(runs, "trunk_id")):
        what += f", cooled from {counted(len(trunks), 'trunk')} of constant rate"
    listed = ", ".join(part for part in parts if part)
    return f"{what}: {listed}." if listed else f"{what}."


def _counted(runs: pl.DataFrame, column: str, noun: str, unit: str) -> str:
    """How many different values a column has, and from where to where."""
    values = _values(runs, column)
    if not values:
        return ""
    ends = dict.fromkeys(print_count(value, 2) for value in (values[0], values[-1]))
    between = f"from {' to '.join(ends)}" if len(ends) > 1 else f"of {next(iter(ends))}"
    return f"{counted(len(values), noun)} {between} {unit}"


def _repeats(runs: pl.DataFrame) -> Iterator[str]:
    if not {"epochs", "unique_tokens"} <= set(runs.columns):
        return
    again = runs.filter(pl.col("epochs") > 1.005)
    if not len(again):
        return
    capped = "unique_budget" if "unique_budget" in runs.columns else "unique_tokens"
    budgets = [*dict.fromkeys(print_count(value, 3) for value in _values(again, capped))]
    which = _listed(budgets, "or") if len(budgets) <= _MOST_LISTED else f"{budgets[0]} to {budgets[-1]}"
    most = f"{again['epochs'].max():.3g}".removesuffix(".0")
    yield f"{len(again)} of them repeat a unique-token budget of {which}, for up to {most} epochs."


_MOST_LISTED = 6


def _text(runs: pl.DataFrame) -> Iterator[str]:
    """What every corpus of these rows is made of, the one with most runs first."""
    columns = ["corpus_hash", "corpus_bytes", "corpus_versions", "vocabulary"]
    if not set(columns) <= set(runs.columns):
        return
    alike = runs.drop_nulls(columns).group_by("corpus_hash", maintain_order=True)
    corpora = alike.agg(pl.len(), pl.col(columns[1:]).first()).sort("len", *columns, descending=True)
    if len(corpora) > 1:
        yield f"They were trained on {len(corpora)} corpora."
    for corpus in corpora.iter_rows(named=True):
        yield _corpus(corpus)
    if len(corpora):
        yield "The loss is measured on held-out text that no run has trained on."


def _corpus(row: dict[str, Any]) -> str:
    """What a token is, and how much text of which domains there is; rows do not say which folder or table it was."""
    sizes = {domain: n for domain, n in json.loads(row["corpus_bytes"]).items() if n}
    versions = json.loads(row["corpus_versions"])
    if "python" not in versions:  # nothing was read: a generator wrote it
        text = _listed([f"{print_count(count, 2)} tokens of {name}" for name, count in sizes.items()])
        known = "words of synthetic documents whose answers are" if "documents" in versions else ""
        known = known or "symbols of synthetic languages whose entropy is"
        return f"A token is one of {row['vocabulary']:,} {known} known; the text is {text}."
    units = ((domain, *((n / 1e6, "MB") if n >= 1e6 else (n / 1e3, "kB"))) for domain, n in sizes.items())
    text = _listed([f"{size:.0f} {unit} of {domain}" for domain, size, unit in units])
    of_pieces = row["vocabulary"] > BYTES
    token = f"one of {row['vocabulary']:,} byte-pair pieces" if of_pieces else "a byte"
    packages = sorted(set(versions) - {"python"} - ({"tokenizers"} if of_pieces else set()))
    if packages:
        python = versions["python"]
        text += f" from the standard library of Python {python} and the packages {_listed(packages)}"
    return f"A token is {token}; the text is {text}."


def _conventions(runs: pl.DataFrame) -> Iterator[str]:
    for value in _values(runs, "flops_convention"):
        if value.startswith("matrix products"):
            yield "Compute is counted product by product, attention and head included."
        else:
            yield f"Compute is counted as {value.removeprefix('as ')}."
    if conventions := [c for c in _values(runs, "n_convention") if c != "matrices"]:
        yield f"N counts parameters by the convention {_listed([repr(c) for c in conventions], 'or')}."


def _values(runs: pl.DataFrame, column: str) -> list[Any]:
    """The different values of a column in order; none where it is not there."""
    return runs[column].drop_nulls().unique().sort().to_list() if column in runs.columns else []


def _listed(words: list[str], last: str = "and") -> str:
    """ "a, b and c"."""
    return f" {last} ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def one_corpus(runs: pl.DataFrame) -> pl.DataFrame:
    """The runs on one text, because losses on different texts do not lie on one curve.

    Of several corpora, the one with most runs; where they have as many, the one that this machine trained on. A table
    that names no corpus comes back as it is.
    """
    if "corpus_hash" not in runs.columns:
        return runs
    corpora = runs.group_by("corpus_hash").agg(pl.len(), here=(pl.col("origin") == "local").any())
    chosen = corpora.sort("len", "here", "corpus_hash")["corpus_hash"][-1]
    if others := runs.height - int((runs["corpus_hash"] == chosen).sum()):
        print(f"left out: {others} runs on another corpus; they are in the table of origins")
    return runs.filter(pl.col("corpus_hash") == chosen)


@dataclass(frozen=True, eq=False, repr=False)
class Origins(Shown):
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

    def shown(self) -> Iterator[str | Table]:
        """The table, and how far the losses of the two places differ."""
        rows = [
            [PLACES.get(origin, origin), device, torch, corpus, str(count)]
            for origin, device, torch, corpus, count in self.table.iter_rows()
        ]
        yield Table(["rows", "trained on", "with torch", "corpus", "runs"], rows)
        yield self._sentence()


def origins(where: str | Path) -> Origins:
    """The rows of a study by where they were trained; this machine's beside the committed ones, where there are both.

    Raises:
        MissingRuns: the study has no rows at all.
    """
    places: dict[str, pl.DataFrame] = {}
    for origin in ("committed", "local"):
        with suppress(MissingRuns):
            places[origin] = open_runs(where, origin=origin)
    if not places:
        raise MissingRuns(where, f"Run the sweep first: scaling sweep {where}/study.toml")
    every = pl.concat([rows.with_columns(origin=pl.lit(origin)) for origin, rows in places.items()])
    by = ["origin", "device", pl.col("versions").str.json_path_match("$.torch").alias("torch"), "corpus_hash"]
    table = every.group_by(by, maintain_order=True).agg(pl.len())
    if len(places) < 2:
        return Origins(table, 0, True, np.nan, np.nan)
    both = places["committed"].join(places["local"], on=_SAME_RUN, suffix="_here")
    same = bool((both["corpus_hash"] == both["corpus_hash_here"]).all())
    if not len(both):
        return Origins(table, 0, same, np.nan, np.nan)
    apart = 100 * (both["loss_here"] / both["loss"] - 1).to_numpy()
    return Origins(table, len(both), same, float(np.sqrt(np.mean(apart**2))), float(np.abs(apart).max()))
