"""Runs in, arrays out: what a law reads from a table, checked before any work."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from scaling.arguments import checked
from scaling.errors import BadOption, FitError, MissingColumns, brief, check_forked, require_kind
from scaling.intake.guesses import guessed
from scaling.laws.base import Argument, Law


class NonFiniteLoss(FitError):
    """A loss that is NaN, infinite, zero or negative."""

    column: str
    rows: int
    first: int
    value: float

    def __str__(self) -> str:
        return (
            f"a fit needs a finite {self.column} above zero, but {self.rows} of the runs have none (row {self.first}: "
            f"{self.value:g}). Leave them out and say so, e.g. runs.filter(pl.col({self.column!r}).is_finite() & "
            f"(pl.col({self.column!r}) > 0))."
        )


class BadPredictor(FitError):
    """A column that a law reads with values it cannot be read at."""

    column: str
    rows: int
    first: int
    value: object
    wanted: str

    def __str__(self) -> str:
        return (
            f"column {self.column} must be {self.wanted}, but {self.rows} of the runs are not (row {self.first}: "
            f"{self.value}). Correct the column, or leave those runs out."
        )


class TooFewScales(FitError):
    """Too few distinct values of a predictor to fit a curve along it."""

    law: str
    column: str
    scales: tuple[float, ...]
    """Its distinct values."""
    needed: int
    else_: str = ""
    """Another way out, in words."""

    def __str__(self) -> str:
        values = ", ".join(f"{v:g}" for v in self.scales)
        return (
            f"{self.law} needs {self.needed} scales of {self.column} or more, but the runs have {len(self.scales)} "
            f"({values}). Add runs at other values of {self.column}{self.else_}."
        )


class DuplicateRuns(FitError):
    """The same run more than once."""

    rows: int
    first: int
    by: str

    def __str__(self) -> str:
        return (
            f"every run counts once, but {self.rows} rows repeat an earlier one in {self.by} (the first is row "
            f"{self.first}). Drop them with runs.unique(), or say what each row counts with fit(..., weights=...)."
        )


class MixedConventions(FitError):
    """Rows that count the same thing in different ways."""

    column: str
    conventions: tuple[str | None, ...]
    predictor: str

    def __str__(self) -> str:
        words = " and ".join("nothing" if one is None else repr(one) for one in self.conventions)
        return (
            f"{self.predictor} must mean one thing in a fit, but {self.column} says {words}. "
            f"Fit them apart, e.g. runs.filter(pl.col({self.column!r}) == {self.conventions[0]!r}), or convert one."
        )


class MixedUnits(FitError):
    """A count that seems to be in one unit in some rows and in another in the rest."""

    column: str
    small: float
    large: float

    def __str__(self) -> str:
        return (
            f"column {self.column} has {self.small:g} in some rows and {self.large:g} in others, with nothing between: "
            "this looks like two units (millions beside single ones). Bring them to one, or pass weights= if they are "
            "meant."
        )


Array = NDArray[np.float64]


class ArrowTable(Protocol):
    """A frame of pandas, pyarrow or any other that hands its columns over as Arrow."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


_P = ParamSpec("_P")
_T = TypeVar("_T")
Table = pl.DataFrame | pl.LazyFrame | ArrowTable | Mapping[str, ArrayLike]

_SMALL, _APART = (
    1e5,
    1e4,
)  # a count so small beside one so many times larger, and none between, has another unit
_LOOKS_LIKE_A_COUNT = 1e3  # an unannotated column of positive values beyond this is taken for a scale

_WEIGHT = "weight of the row"  # name of the column that `with_weights` adds

# Which column says how a predictor, or the loss, was counted.
_CONVENTIONS = {"N": "n_convention", "C": "flops_convention", "loss": "loss_unit"}
COUNTS = ("N", "D", "C")  # columns that are counts whatever the law's signature says
_NAMES = ("name", "run", "run_id", "Model")  # columns that name a run, for people first


@dataclass(frozen=True, eq=False)
class Data:
    """The arrays of one fit, in an order that does not depend on the table's."""

    columns: dict[str, Array]
    target: Array
    weights: Array
    """What each row counts; ones unless asked."""
    stderr: Array | None
    order: NDArray[np.int64]
    """Row of the table that each row here came from."""
    table: pl.DataFrame = field(repr=False)
    """As it was given."""

    def frame(self, *columns: str) -> pl.DataFrame:
        """Those of these columns that the table has (all, where none is named), in this order.

        Copied when asked: a million rows of a store in another order are two gigabytes.
        """
        named = [name for name in columns or self.table.columns if name in self.table.columns]
        return pl.DataFrame([self.table[name][self.order] for name in named])

    @property
    def rows(self) -> int:
        return len(self.target)

    @property
    def hash(self) -> str:
        """SHA-256 of names and numbers; the order of the rows does not matter."""
        digest = hashlib.sha256()
        named = self.columns | {"target": self.target, "weights": self.weights}
        if self.stderr is not None:
            named |= {"stderr": self.stderr}
        for name in sorted(named):
            digest.update(name.encode() + b"\0" + np.ascontiguousarray(named[name], "<f8").tobytes())
        return digest.hexdigest()


def framed(*tables: str) -> Callable[[Callable[_P, _T]], Callable[_P, _T]]:
    """A function whose arguments of these names reach it as polars frames, whatever they came as, and whose plain ones
    are `checked`; None stays None where a table may be left out.

    Raises:
        BadOption: as `as_frame` and `checked`, when it is called.
    """

    def decorated(function: Callable[_P, _T]) -> Callable[_P, _T]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def called(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            given = signature.bind(*args, **kwargs)
            given.arguments |= {
                name: as_frame(table, name)
                for name, table in given.arguments.items()
                if name in tables and not (table is None is signature.parameters[name].default)
            }
            return function(*given.args, **given.kwargs)

        return checked(called)

    return decorated


def as_frame(runs: Table, option: str = "runs") -> pl.DataFrame:
    """A polars frame of the runs, whatever they came as; `option` is what the caller calls them.

    Raises:
        BadOption: neither a frame (of polars, or one that can be read as Arrow: pandas, pyarrow), nor a mapping of
            names to arrays of one length.
        ForkedProcess: a forked process, in which polars would wait for ever.
    """
    check_forked()
    if isinstance(runs, pl.LazyFrame):
        return runs.collect()
    if isinstance(runs, pl.DataFrame):
        return runs
    if hasattr(runs, "__arrow_c_stream__"):  # of pandas, pyarrow, duckdb
        try:
            return pl.DataFrame(runs)
        except (ImportError, TypeError, ValueError, pl.exceptions.PolarsError) as reason:
            wanted = f"readable by polars ({reason}): hand over pl.from_pandas(df) or pl.from_arrow(table)"
            raise BadOption(option, type(runs).__name__, wanted) from reason
    if not isinstance(runs, Mapping):
        reads = (
            f"scaling.open_runs({brief(str(runs))})" if isinstance(runs, str | Path) else "pl.from_pandas(df)"
        )
        wanted = f"a polars frame, a dictionary of arrays, or {reads}"
        raise BadOption(option, type(runs).__name__, wanted)
    if nameless := [name for name in runs if not isinstance(name, str)]:
        raise BadOption(option, nameless, "a dictionary from the names of columns to arrays")
    arrays = {name: _array(values) for name, values in runs.items()}
    lengths = {len(np.atleast_1d(values)) for values in arrays.values()}
    if len(lengths) > 1:
        raise BadOption(option, {k: v.shape for k, v in arrays.items()}, "arrays of one length")
    return pl.DataFrame({name: np.atleast_1d(values) for name, values in arrays.items()})


def _array(values: ArrayLike) -> NDArray:
    """Values as an array; whole numbers of more than 64 bits, and None among numbers, as floats."""
    array = np.asarray(values)
    if array.dtype == object and all(one is None or isinstance(one, numbers.Real) for one in array.flat):
        with contextlib.suppress(OverflowError):
            return array.astype(float)
    return array


def with_weights(frame: pl.DataFrame, weights: Weights) -> tuple[pl.DataFrame, str | None]:
    """The runs with what each counts as a column, so that a part of them keeps it, and the name of that column.

    Raises:
        BadOption: not one number for each run.
    """
    if weights is None or isinstance(weights, str):
        return frame, weights
    return frame.with_columns(pl.Series(_WEIGHT, _weights(frame, weights))), _WEIGHT


Weights = str | Sequence[float] | NDArray | None
"""What each row counts: a column, one number for each row, or all the same."""


def read(
    columns: Sequence[Argument], runs: Table, *, target: str = "loss", positive: bool = True,
    weights: Weights = None, stderr: str | None = None,
) -> Data:  # fmt: skip
    """What a law reads from a table of runs.

    Args:
        columns: those of the law.
        runs: polars frame or dictionary of arrays, one row per run.
        target: column that the law predicts.
        positive: whether the target must be above zero.
        weights: column or array with what each row counts.
        stderr: column with the standard error of the target, where the objective needs it.

    Raises:
        MissingColumns, NonFiniteLoss, BadPredictor, MixedConventions, MixedUnits, DuplicateRuns, BadOption: as they
            say.
    """
    frame = as_frame(runs)
    require_kind("target", target, str, "the name of a column")
    present = [c for c in columns if c.default is None or c.name in frame.columns]
    wanted = [c.name for c in present]
    needed = dict.fromkeys([*wanted, target, stderr, weights if isinstance(weights, str) else None])
    if missing := [name for name in needed if name is not None and name not in frame.columns]:
        raise MissingColumns(missing, frame.columns, _hint(missing, wanted, frame.columns))
    loss = numbers_of(frame, target)
    bad = ~np.isfinite(loss) | (positive & (loss <= 0.0))
    if bad.any():
        raise NonFiniteLoss(target, int(bad.sum()), int(np.argmax(bad)), float(loss[np.argmax(bad)]))
    values = {c.name: _checked(frame, c.name, above_zero=c.quantity.log) for c in present}
    for counted, convention in _CONVENTIONS.items():
        if counted in (*wanted, target) and convention in frame.columns:
            said = frame[convention].unique().sort(nulls_last=True).to_list()
            if len(said) > 1:
                raise MixedConventions(convention, tuple(said), counted)
    if weights is None:
        _check_duplicates(frame, [*wanted, target])
        for c in present:
            if c.quantity.count or c.name in COUNTS:
                _check_units(c.name, values[c.name])
    counted = np.ones(len(frame)) if weights is None else _weights(frame, weights)
    spread = _checked(frame, stderr, above_zero=True) if stderr else None
    order = np.lexsort((counted, *values.values(), loss))
    for c in columns:  # one that the table lacks keeps its default
        values.setdefault(c.name, np.full(len(frame), c.default, float))
    return Data(
        {c.name: values[c.name][order] for c in columns},
        loss[order],
        counted[order],
        None if spread is None else spread[order],
        order,
        frame,
    )


def scales(law: Law, data: Data) -> tuple[str, ...]:
    """Columns that the law extrapolates along: those declared as counts, or undeclared ones that look like it."""
    return tuple(
        c.name
        for c in law.columns
        if c.quantity.count or (not c.annotated and _looks_like_a_count(data.columns[c.name]))
    )


def row_names(data: Data) -> list[str]:
    """What each run is called, in this order: the first column of names that differ, else its row in the table."""
    for names in data.frame(*_NAMES).cast(pl.String, strict=False):
        if not names.null_count() and names.n_unique() == data.rows:
            return names.to_list()
    return [f"row {i}" for i in data.order]


def compute(frame: pl.DataFrame) -> tuple[Array, str] | None:
    """Training FLOPs of each row and the name of what they are: C where the table has it, else 6ND."""
    if "C" in frame.columns:
        values, name = numbers_of(frame, "C"), "C"
    elif {"N", "D"} <= set(frame.columns):
        values, name = 6.0 * numbers_of(frame, "N") * numbers_of(frame, "D"), "6ND"
    else:
        return None
    return (values, name) if np.all(np.isfinite(values) & (values > 0)) else None


def numbers_of(frame: pl.DataFrame, name: str) -> Array:
    """A column as floats, missing values as NaN.

    Raises:
        BadPredictor: a column of something else.
    """
    column = frame[name]
    if not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
        if column.dtype.is_nested() or column.dtype in (pl.Object, pl.Duration):
            column = pl.Series(name, [str(one) for one in column.to_list()], pl.String)
        bad = column.cast(pl.String, strict=False).cast(pl.Float64, strict=False).is_null()
        row = int(bad.arg_max() or 0)
        value = repr(column[row]) if len(column) else "empty"
        wanted = "a column of numbers" + ", and no text, which scaling.read_runs(runs) reads" * (
            column.dtype == pl.String
        )
        raise BadPredictor(name, int(bad.sum()) or len(column), row, value, wanted)
    return column.cast(pl.Float64).to_numpy()


def counts_of(frame: pl.DataFrame, name: str) -> Array:
    """A column of numbers above zero.

    Raises:
        BadPredictor: a value that is not finite and above zero, or a column of something else.
    """
    return _checked(frame, name, above_zero=True)


def _checked(frame: pl.DataFrame, name: str, *, above_zero: bool) -> Array:
    values = numbers_of(frame, name)
    bad = ~np.isfinite(values) | (above_zero & (values <= 0.0))
    if bad.any():
        first = int(np.argmax(bad))
        wanted = "finite and above zero" if above_zero else "finite"
        raise BadPredictor(name, int(bad.sum()), first, float(values[first]), wanted)
    return values


def _check_units(name: str, values: Array) -> None:
    """Counts below a hundred thousand beside counts ten thousand times as large, and none between."""
    counts = np.unique(values[values > 0])
    gap = int(np.argmax(counts[1:] / counts[:-1])) if len(counts) > 1 else 0
    if len(counts) > 1 and counts[gap] < _SMALL and counts[gap + 1] > _APART * counts[gap]:
        raise MixedUnits(name, float(counts[gap]), float(counts[gap + 1]))


def _check_duplicates(frame: pl.DataFrame, read: list[str]) -> None:
    flat = [name for name, dtype in frame.schema.items() if not dtype.is_nested() and dtype != pl.Object]
    by = ["run_id", *read] if "run_id" in frame.columns else flat
    if any(
        frame[name].n_unique() == len(frame) for name in reversed(read)
    ):  # told without a copy of all columns
        return
    repeats = frame.select(again=~pl.struct(by).is_first_distinct())["again"]
    if repeats.any():
        words = "every column" if by is flat else ", ".join(by)
        raise DuplicateRuns(int(repeats.sum()), int(repeats.arg_max() or 0), words)


def _weights(frame: pl.DataFrame, weights: Weights) -> Array:
    try:
        values = numbers_of(frame, weights) if isinstance(weights, str) else np.asarray(weights, float)
    except (TypeError, ValueError, OverflowError):
        raise BadOption("weights", weights, "a column, or one number for each run") from None
    if values.shape != (len(frame),):
        wanted = f"one number for each of {len(frame)} runs"
        raise BadOption("weights", f"an array of shape {values.shape}", wanted)
    if not np.all(np.isfinite(values) & (values >= 0)) or not values.any():
        given = weights if isinstance(weights, str) else "an array"
        raise BadOption("weights", given, "finite, not negative, not all zero")
    return values


def _looks_like_a_count(values: Array) -> bool:
    return bool(np.all(values > 0) and np.max(values) > _LOOKS_LIKE_A_COUNT)


def _hint(missing: list[str], columns: list[str], there: list[str]) -> str:
    likely, units = guessed(there)
    if own := {name: column for name, column in likely.items() if column in missing}:
        said = {column: unit for column, unit in units.items() if column in missing}
        return f"By their names: scaling.read_runs(runs, columns={own}{f', units={said}' * bool(said)})."
    if "C" in missing and "C" in columns:
        return "Count the FLOPs, or say 6ND: runs.with_columns(C=6.0 * pl.col('N') * pl.col('D'))."
    return f"Rename one, e.g. runs.rename({{'your_name': {missing[0]!r}}})."
