"""Runs with what they remember: bits memorised and on offer, answers on documents they have seen and on fresh ones."""

from __future__ import annotations

import polars as pl

from scaling.errors import BadOption, QuestionError, require_columns
from scaling.records import ON_OFFER

CELL = ["params_total", "unique_tokens"]
"""What runs of one cell share; they differ in the seed."""
FULL = 0.7
"""Share of the bits on offer up to which a memory counts as full: it had more to memorise."""
PROBES = ("memorised", "seen_exact", "answer_exact", "answer_loss")
"""What a study must have measured."""


class NotMeasured(QuestionError):
    """A question about memory, asked of runs that nobody has looked into."""

    probe: str
    skill: str
    there: list[str]

    def __str__(self) -> str:
        return (
            f"asked what was memorised and whether {self.skill!r} was learned, but the runs have no measurement "
            f"{self.probe!r} of it, only {', '.join(self.there) or 'none'}. Ask for probes = {[*PROBES]} in the "
            "study, and name a domain with answers, as in runs/memory/study.toml."
        )


def check_chance(chance: float) -> None:
    """Raises BadOption unless a guess is right less often than always."""
    if not 0 <= chance < 1:
        wanted = "at least 0 and below 1, e.g. 0.1 where ten values are equally likely"
        raise BadOption("chance", chance, wanted)


def with_memory(runs: pl.DataFrame, measurements: pl.DataFrame, skill: str) -> pl.DataFrame:
    """The longest runs of each cell and seed, with what was measured at their end.

    Returns:
        The columns of CELL, seed, D, on_offer and memorised (bits of all domains), seen and fresh (share of the
        documents of `skill` whose answers are right), fresh_loss (of these answers, nats/token), and changed, where
        perturbed_exact was measured (share of the documents seen that are right with one word changed).

    Raises:
        MissingColumns: a column is not there.
        NotMeasured: a probe was not asked for, or the domain has no answers.
    """
    require_columns([*CELL, "run_id", "seed", "D"], runs.columns, "Open the runs of a study with open_runs.")
    ends = measurements.filter(pl.col("step") == pl.col("step").max().over("run_id"))
    ends = ends.join(runs.select("run_id"), on="run_id", how="semi")
    of_skill = ends.filter(pl.col("group") == skill)
    offered = pl.col("group").str.ends_with(ON_OFFER)
    bits = ends.filter(pl.col("probe") == "memorised")
    parts = {
        "on_offer": bits.filter(offered),
        "memorised": bits.filter(~offered),
        "seen": of_skill.filter(pl.col("probe") == "seen_exact"),
        "fresh": of_skill.filter(pl.col("probe") == "answer_exact"),
        "fresh_loss": of_skill.filter(pl.col("probe") == "answer_loss"),
    }
    for probe, part in zip(("memorised", *PROBES), parts.values(), strict=True):
        if part.is_empty():
            raise NotMeasured(probe, skill, sorted(ends["probe"].unique()))
    if len(changed := of_skill.filter(pl.col("probe") == "perturbed_exact")):
        parts["changed"] = changed
    table = runs.filter(pl.col("D") == pl.col("D").max().over(CELL)).select("run_id", *CELL, "seed", "D")
    for name, part in parts.items():
        how = "left" if name == "changed" else "inner"
        table = table.join(
            part.group_by("run_id").agg(pl.col("value").sum().alias(name)), on="run_id", how=how
        )
    per_parameter = pl.col("on_offer", "memorised") * pl.col("params_total")
    return table.with_columns(per_parameter).sort(*CELL, "seed")


def means(table: pl.DataFrame, chance: float) -> pl.DataFrame:
    """Means over the seeds of each cell, with what follows from them.

    Returns:
        Besides the columns of `table` but seed: seeds; memorised_std; full, whether there was more to memorise;
        explained, the share of right answers above chance that only documents seen before get, null where hardly any
        are right.
    """
    mean = pl.col("D", "on_offer", "memorised", "seen", "fresh", "fresh_loss").mean()
    rows = table.group_by(CELL).agg(mean, pl.col("memorised").std().alias("memorised_std"), seeds=pl.len())
    full = pl.col("memorised") <= FULL * pl.col("on_offer")
    return rows.with_columns(full=full, explained=explained(chance)).sort(CELL)


def explained(chance: float, other: str = "fresh") -> pl.Expr:
    """(seen - fresh) / (seen - chance), of the columns of these names, or of another for "fresh"; null where hardly any
    answer is right."""
    share = (pl.col("seen") - pl.col(other)) / (pl.col("seen") - chance)
    return pl.when(pl.col("seen") - chance > 0.05).then(share)


def capacities(cells: pl.DataFrame) -> pl.DataFrame:
    """The most that each size memorises, of those sizes that had more to memorise than they did in one cell at least.

    With more data still, and the same steps, documents are seen too rarely to be remembered.

    Returns:
        The columns of CELL that say which cell holds most, bits, bits_per_parameter, epochs, how often each token was
        seen, and at_least, whether that cell held nearly all there was, so that the size may hold more.
    """
    filled = cells.filter(pl.col("full").any().over("params_total"))
    rows = filled.group_by("params_total").agg(pl.all().sort_by("memorised").last())
    return rows.sort("params_total").select(
        *CELL,
        bits="memorised",
        bits_per_parameter=pl.col("memorised") / pl.col("params_total"),
        epochs=pl.col("D") / pl.col("unique_tokens"),
        at_least=~pl.col("full"),
    )


def rises(table: pl.DataFrame, cells: pl.DataFrame) -> pl.DataFrame:
    """For each size and seed, right answers to fresh documents when memory has just filled, and with the most data.

    Returns:
        params_total, seed, first (share with the least data that fills memory), last (with the most), rise (their
        difference), of sizes with two full cells or more.
    """
    full = table.join(cells.filter("full").select(CELL), on=CELL).sort("unique_tokens")
    ends = full.group_by("params_total", "seed").agg(
        first=pl.col("fresh").first(), last=pl.col("fresh").last(), amounts=pl.len()
    )
    rise = pl.col("last") - pl.col("first")
    return ends.filter(pl.col("amounts") > 1).with_columns(rise=rise).sort("params_total", "seed")
