"""Runs on blends of domains as arrays, checked: what each was trained on, and its loss on each domain."""

from __future__ import annotations

import json
import keyword
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scaling.arguments import number
from scaling.errors import BadOption, FitError, MissingColumns, RecordError, did_you_mean
from scaling.fitting.data import Array, Table, as_frame

SUM = 0.01
"""How far shares that add up to 1 may be from it: seventeen of three decimals each."""
_SHARES, _LOSSES, _BESIDE = "w_", "loss_", ("loss_stderr", "loss_bits_per_byte", "loss_curve")
_ALIKE = 0.01
"""Distance in log tokens within which two runs have as many."""
_TAKEN = ("N", "D", "loss", "fold", "trunk_id")


class BadShares(RecordError):
    """Shares of a run that are no shares of a whole."""

    rows: int
    first: int
    total: float
    shares: dict[str, float]

    def __str__(self) -> str:
        return (
            f"the shares of a blend must be 0 or more and add up to 1, but those of {self.rows} of the runs do not "
            f"(row {self.first}: {_listed(self.shares)}, together {self.total:.4g}). Correct them: percent are divided "
            "by 100, and a domain that was left out of the table is added."
        )


class NotMeasured(FitError):
    """A target whose loss some runs do not have."""

    target: str
    missing: int
    measured: tuple[str, ...]
    domains: tuple[str, ...]

    def __str__(self) -> str:
        unseen = self.target in self.domains and self.target not in self.measured
        trained = " They are trained on it, but its loss is not in the table." if unseen else ""
        return (
            f"the loss on {self.target!r} was asked for, but {self.missing} of the runs do not have it.{trained} "
            f"{did_you_mean(self.target, self.measured)}Measured in all of them: "
            f"{', '.join(self.measured) or 'nothing; leave out runs that diverged'}."
        )


class UnknownShare(FitError):
    """A domain that no run was trained on."""

    option: str
    domain: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{self.option} names the domain {self.domain!r}, which no run was trained on. "
            f"{did_you_mean(self.domain, self.known)}Trained on: {', '.join(self.known)}."
        )


class OneDomain(FitError):
    """Runs that were all trained on the same single domain."""

    domain: str

    def __str__(self) -> str:
        return (
            f"a blend was asked for, but all runs were trained on {self.domain} alone. Add runs on a second domain, or "
            "name its share in the blend."
        )


class TooFewBlends(FitError):
    """Fewer different blends than any law of so many domains has parameters."""

    blends: int
    domains: tuple[str, ...]
    needed: int
    N: float | None = None
    """Size of the models, where it is known."""

    def __str__(self) -> str:
        sized, other = ("", "") if self.N is None else (f" of N = {self.N:,.0f}", ", name another size")
        return (
            f"the best blend of {len(self.domains)} domains ({', '.join(self.domains)}) was asked for, but the runs"
            f"{sized} have {self.blends} different blends, and {self.needed} are the least. Train more, drawn at "
            f"random{other}, or leave out runs until fewer domains remain."
        )


def _listed(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{domain} {share:.3g}" for domain, share in shares.items() if share)


@dataclass(frozen=True, eq=False)
class Blends:
    """Runs of one model size, each trained on a blend of domains."""

    domains: tuple[str, ...]
    """All that some run was trained on."""
    shares: Array
    """Of the training tokens, shape (runs, domains)."""
    losses: dict[str, Array]
    """On each domain that some run was measured on, nats/token, shape (runs,); NaN where a run was not."""
    N: Array | None
    """Parameters of each run, where they are known."""
    D: Array | None
    """Tokens of each run, where they are known."""
    trunks: pl.Series | None
    """What each run branched from, where it is known."""

    @property
    def different(self) -> NDArray[np.int64]:
        """The number of each run's blend: equal where two runs have the same one, shape (runs,)."""
        return np.unique(self.shares.round(6), axis=0, return_inverse=True)[1].ravel()

    @property
    def budgets(self) -> Array | None:
        """D where it differs between the runs, by more than a percent; None where it does not."""
        differs = self.D is not None and self.D.max() > 1.01 * self.D.min()
        return self.D if differs else None

    def near(self, tokens: float | None, within: float = _ALIKE) -> NDArray[np.bool_]:
        """Which runs have as many tokens as are asked about, or are the nearest to it, and those of about as many.

        Args:
            tokens: asked about; where it is None, all runs are near.
            within: distance in log tokens that is added to that of the nearest run.
        """
        if tokens is None or self.D is None:
            return np.ones(len(self.shares), bool)
        apart = np.abs(np.log(self.D / tokens))
        return apart <= apart.min() + within

    def most_tried(self) -> float:
        """The tokens for which the most different blends were trained, and of several the most."""
        assert self.D is not None
        blends, budgets = self.different, np.unique(self.D)
        tried = [len(np.unique(blends[self.near(budget)])) for budget in budgets]
        return float(max(zip(tried, budgets, strict=True))[1])

    @property
    def columns(self) -> tuple[str, ...]:
        """A name for each domain that a law may use."""
        plain = [
            d if d.isidentifier() else "of_" + "".join(c if c.isalnum() else "_" for c in d)
            for d in self.domains
        ]
        taken = {*_TAKEN, *keyword.kwlist}
        return tuple(
            f"{name}_{i}" if name in taken or plain.index(name) < i else name for i, name in enumerate(plain)
        )

    def nearest(self, target: str) -> int:
        """The domain that is the target, or else whose share goes most with a low loss on it."""
        if target in self.domains:
            return self.domains.index(target)
        loss = np.log(self.losses[target]) if target in self.losses else self.shares[:, 0]
        centred = self.shares - self.shares.mean(axis=0)
        spread = np.maximum(np.sqrt((centred**2).sum(axis=0)), 1e-12)
        return int(np.argmin((loss - loss.mean()) @ centred / spread))

    def frame(self, target: str, tokens: bool = False) -> pl.DataFrame:
        """Columns for a fit of a law of these blends: shares, or tokens of each domain, `D` and `loss`."""
        data = self.shares if not tokens or self.D is None else self.shares * self.D[:, None]
        columns = dict(zip(self.columns, data.T, strict=True)) | {"loss": self.losses[target]}
        if self.budgets is not None:
            columns["D"] = self.budgets
        frame = pl.DataFrame(columns)
        return frame if self.trunks is None else frame.with_columns(trunk_id=self.trunks)

    def measured(self, target: str) -> Array:
        """Losses on one domain.

        Raises:
            NotMeasured: not all runs have it.
        """
        whole = [one for one, loss in self.losses.items() if np.isfinite(loss).all()]
        if target not in whole:
            missing = (
                int((~np.isfinite(self.losses[target])).sum()) if target in self.losses else len(self.shares)
            )
            raise NotMeasured(target, missing, tuple(whole), self.domains)
        return self.losses[target]

    def of_size(self, N: float | None) -> Blends:
        """The runs of one model size, the largest where none is named.

        Raises:
            BadOption: there are no runs of that size.
        """
        if self.N is None:
            if N is not None:
                raise BadOption("N", N, "left out, as the runs have no column N")
            return self
        sizes = np.unique(self.N)
        wanted = "a size that there are runs of: " + ", ".join(f"{size:g}" for size in sizes)
        asked = sizes[-1] if N is None else number("N", N, wanted)
        if not (mine := np.isclose(self.N, asked, rtol=1e-6)).any():
            raise BadOption("N", N, wanted)
        return self.rows(mine)

    def rows(self, mine: NDArray[np.bool_]) -> Blends:
        """Some of the runs, and the domains that any of these was trained on."""
        shares = self.shares[mine]
        tried = shares.max(axis=0) > 0
        return replace(
            self,
            domains=tuple(d for d, one in zip(self.domains, tried, strict=True) if one),
            shares=shares[:, tried],
            losses={d: loss[mine] for d, loss in self.losses.items()},
            N=None if self.N is None else self.N[mine],
            D=None if self.D is None else self.D[mine],
            trunks=None if self.trunks is None else self.trunks.filter(pl.Series(mine)),
        )


def read_blends(runs: Table) -> Blends:
    """The blends in a table of runs.

    Args:
        runs: the column `blend` (a struct, or JSON) or a column w_<domain> for each; loss_<domain> for each domain that
            was measured, or the list `domains` as the store keeps it; N, D and trunk_id where they are known.

    Raises:
        MissingColumns: no blend, or no loss.
        BadShares: shares that do not add up to 1.
    """
    frame = as_frame(runs)
    shares = _shares(frame)
    values = shares.to_numpy().astype(float)
    total = values.sum(axis=1)
    wrong = ~(np.isfinite(values).all(axis=1) & (values >= 0).all(axis=1) & (np.abs(total - 1) <= SUM))
    if wrong.any():
        first = int(np.argmax(wrong))
        raise BadShares(int(wrong.sum()), first, float(total[first]), shares.row(first, named=True))
    counts = {c: frame[c].cast(pl.Float64).to_numpy() if c in frame.columns else None for c in ("N", "D")}
    trunks = frame["trunk_id"] if "trunk_id" in frame.columns else None
    read = Blends(tuple(shares.columns), values, _losses(frame), counts["N"], counts["D"], trunks)
    return read.rows(np.ones(frame.height, bool))


def without(runs: pl.DataFrame, domains: Iterable[str]) -> pl.DataFrame:
    """The runs that were trained on none of some domains, such as placebos, which nobody would propose."""
    shares = _shares(runs)
    some = [domain for domain in domains if domain in shares.columns]
    return runs.filter(shares.select(pl.sum_horizontal(some) == 0).to_series()) if some else runs


def _shares(frame: pl.DataFrame) -> pl.DataFrame:
    if "blend" in frame.columns:
        blends = frame["blend"]
        if blends.dtype == pl.String:
            rows = [json.loads(text) for text in blends]
            names = dict.fromkeys(name for row in rows for name in row)
            return pl.DataFrame({name: [float(row.get(name, 0.0)) for row in rows] for name in names})
        if isinstance(blends.dtype, pl.Struct):
            return blends.struct.unnest().fill_null(0.0)
    columns = [c for c in frame.columns if c.startswith(_SHARES)]
    if not columns:
        hint = "The shares of the domains stand in a struct, or in a column w_<domain> for each."
        raise MissingColumns(["blend"], frame.columns, hint)
    return frame.select(pl.col(c).fill_null(0.0).alias(c.removeprefix(_SHARES)) for c in columns)


def _losses(frame: pl.DataFrame) -> dict[str, Array]:
    columns = [c for c in frame.columns if c.startswith(_LOSSES) and not c.startswith(_BESIDE)]
    losses = {c.removeprefix(_LOSSES): frame[c] for c in columns}
    if not losses and "domains" in frame.columns:
        rows = [{one["domain"]: one["loss"] for one in row} for row in frame["domains"].to_list()]
        losses = {
            d: pl.Series([row.get(d) for row in rows]) for d in dict.fromkeys(d for row in rows for d in row)
        }
    if not losses:
        hint = "The loss on each domain stands in a column loss_<domain>, or in the list domains of a store's rows."
        raise MissingColumns(["loss_<domain>"], frame.columns, hint)
    numbers = {d: loss.cast(pl.Float64) for d, loss in losses.items() if loss.dtype.is_numeric()}
    return {d: loss.fill_null(float("nan")).to_numpy() for d, loss in numbers.items()}
