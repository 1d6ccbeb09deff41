"""The folder runs/published: fits and tables derived from published results, and where each came from.

    SCALING_PUBLISHED=DIR python -m scaling.reproduce

The results themselves are their authors'; only what was derived from them is kept here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from scaling.files import sha256_of, written_whole
from scaling.fitting import Fit
from scaling.laws import multi_power, power_mean
from scaling.published import SOURCES, open_published
from scaling.published.access import MissingPublished, tidy_path
from scaling.questions._audit.chain import chain
from scaling.questions._audit.multiverse import multiverse
from scaling.questions._index.answer import index_as_of
from scaling.questions._repetition.answer import judge
from scaling.questions._replay.answer import month_ends, replay
from scaling.reproduce.fits import (
    chinchilla_fit,
    chinchilla_points,
    ladder_fit,
    mixture_fit,
    overtraining_fit,
)
from scaling.reproduce.isoflop import isoflop_sweeps
from scaling.reproduce.repetition import repetition_fit, repetition_runs
from scaling.reproduce.schedules import schedule_fit, schedule_points, schedule_table

_DRAWS = 200


def _waning(size_M: int) -> Fit:
    return schedule_fit(multi_power(waning=True), schedule_points(size_M)).fitted


FITS: dict[str, tuple[str, Callable[[], Fit]]] = {
    "chinchilla-huber": ("chinchilla", partial(chinchilla_fit, bootstrap=_DRAWS)),
    "chinchilla-likelihood": ("chinchilla", partial(chinchilla_fit, likelihood=True, bootstrap=_DRAWS)),
    "repetition-as-published": ("data-constrained", repetition_fit),
    "repetition-beyond": ("data-constrained", partial(repetition_fit, beyond=True, bootstrap=_DRAWS)),
    "overtraining": ("overtraining", partial(overtraining_fit, bootstrap=_DRAWS)),
    "ladder-chinchilla": ("ladder", partial(ladder_fit, bootstrap=_DRAWS)),
    "ladder-power-mean": ("ladder", partial(ladder_fit, power_mean)),
    "mixtures": ("mixtures", mixture_fit),
    "schedules-25M": ("schedule-curves", partial(_waning, 25)),
    "schedules-100M": ("schedule-curves", partial(_waning, 100)),
    "schedules-400M": ("schedule-curves", partial(_waning, 400)),
}
"""Source of each fit and how it is made, by the name of its file."""

TABLES: dict[str, tuple[str, Callable[[], pl.DataFrame]]] = {
    "isoflop-exponents": ("isoflop", isoflop_sweeps),
    "unseen-schedules": ("schedule-curves", schedule_table),
    "capability-records": ("benchmarks", lambda: index_as_of(open_published("benchmarks")).records),
    "capability-replay": (
        "benchmarks",
        lambda: replay(open_published("benchmarks"), month_ends(2023, 2025)).table,
    ),
    "audit-chinchilla-240": ("chinchilla", lambda: multiverse(chinchilla_points())),
    "audit-chinchilla-245": ("chinchilla", lambda: multiverse(open_published("chinchilla"))),
    "repetition-judged-182": ("data-constrained", lambda: judge(repetition_runs())),
    "repetition-judged-308": ("data-constrained", lambda: judge(open_published("data-constrained"))),
    "isoflop-chain": ("isoflop", lambda: chain(open_published("isoflop"))),
}
"""The same for tables."""


def derive(folder: Path, *, only: tuple[str, ...] = ()) -> list[Path]:
    """Write the fits as JSON (`Fit.load` reads them), the tables as CSV, and sources.json; returns what was written.

    Args:
        folder: is made if it is not there.
        only: names of `FITS` and `TABLES`; all if empty.

    Raises:
        MissingPublished: a source is not on this machine.
    """
    made = {name: source for name, (source, _) in (FITS | TABLES).items() if name in only or not only}
    origins = {name: provenance(source) for name, source in made.items()}
    written = []
    folder.mkdir(parents=True, exist_ok=True)
    for name in made:
        path = folder / f"{name}{'.json' if name in FITS else '.csv'}"
        if name in FITS:
            fitted = FITS[name][1]()
            fitted.save(path)
            origins[name] = dict(origins[name]) | {"data_hash": fitted.data_hash}
        else:
            TABLES[name][1]().write_csv(path, float_precision=6)
        written.append(path)
    listed = folder / "sources.json"
    known = json.loads(listed.read_text()) if listed.exists() else {}
    with written_whole(listed, "sources") as scratch:
        scratch.write_text(json.dumps(known | origins, indent=1, sort_keys=True) + "\n")
    return [*written, listed]


def provenance(name: str) -> Mapping[str, Any]:
    """Paper, licence and units of a source, the SHA-256 of its table, and URL and SHA-256 of what that was made from.

    Raises:
        MissingPublished: the table, or the manifest that describes it, is not where SCALING_PUBLISHED says.
    """
    source = SOURCES[name]
    table, manifest = tidy_path(source), Path(os.environ.get("SCALING_PUBLISHED", "")) / "manifest.json"
    if table is None or not manifest.exists():
        raise MissingPublished(name, fetchable=False)
    described = next(d for d in json.loads(manifest.read_text()) if d["name"] == Path(source.tidy).parts[0])
    return {
        "source": name,
        "paper": source.paper,
        "licence": source.licence,
        "units": source.units,
        "table": {"file": source.tidy, "sha256": sha256_of(table)},
        "made_from": [{"url": f["url"], "sha256": f["sha256"]} for f in described["source"]],
    }
