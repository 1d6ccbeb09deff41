"""A study on a fleet of GPUs, by simulation: hours, device-hours and what failures take, from the speed of one.

A stack trains on g devices at g^(1 - x) times the speed of one, x lost to each doubling, and a failure of any of them
sends all back to the last checkpoint. Of failures that come at random, with a mean time M = MTBF / g between them, W
hours of work saved every τ take

    E T = (W / τ) M e^(R / M) (e^((τ + δ) / M) - 1),      τ = sqrt(2 δ M) (1 + z / 3 + z² / 9) - δ,   z² = δ / (2 M)

with δ hours to save and R to come back, which may fail too. Here every failure is drawn, and stacks are dealt out
longest first, so that a fleet larger than the study, and a long last stack, show.

Source:
    Young 1974, CACM 17(9), for sqrt(2 δ M); Daly 2006, Future Generation Computer Systems 22(3), for E T and the rest.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scaling import show
from scaling.errors import BadOption, require
from scaling.units import counted

Array = NDArray[np.float64]

_DRAWS = 200
_LEVEL = 0.8
_FEWEST = 1e-3  # hours between checkpoints


@dataclass(frozen=True, kw_only=True)
class Failures:
    """How devices fail, and what saving and coming back take.

    Raises:
        BadValue: a number out of range.
    """

    mtbf_hours: float = 50_676.0
    """Mean time between the failures of one device that stop a job: 16,384 H100s had 419 unexpected interruptions in 54
    days (Llama 3 herd of models, arXiv:2407.21783, section 3.3.4)."""
    save_seconds: float = 30.0
    restart_minutes: float = 10.0
    """From a failure to the first step again."""
    lost_to_doubling: float = 0.05
    """x: share of the speed that is lost each time the devices of one stack double."""

    def __post_init__(self) -> None:
        require(
            self,
            "failures",
            mtbf_hours=(self.mtbf_hours > 0, "above 0"),
            save_seconds=(self.save_seconds > 0, "above 0"),
            restart_minutes=(self.restart_minutes >= 0, "at least 0"),
            lost_to_doubling=(0 <= self.lost_to_doubling < 1, "from 0 on and below 1"),
        )

    def between(self, devices: int) -> float:
        """M: mean hours between failures of a stack on so many devices."""
        return self.mtbf_hours / devices

    def interval(self, devices: int) -> float:
        """τ: hours of work between checkpoints after which least time is lost."""
        save, M = self.save_seconds / 3600, self.between(devices)
        z = math.sqrt(save / (2 * M))
        return M if z >= 1 else max(math.sqrt(2 * save * M) * (1 + z / 3 + z**2 / 9) - save, _FEWEST)

    def speedup(self, devices: int) -> float:
        """Of a stack on so many devices, over one."""
        return devices * (1 - self.lost_to_doubling) ** math.log2(devices)

    def expected(self, work: float, devices: int) -> float:
        """E T: hours that so many hours of work at full speed are expected to take."""
        M, tau = self.between(devices), self.interval(devices)
        save, restart = self.save_seconds / 3600, self.restart_minutes / 60
        return work / tau * M * math.exp(restart / M) * math.expm1((tau + save) / M)

    def drawn(self, work: Array, devices: int, rng: np.random.Generator) -> tuple[Array, NDArray[np.int64]]:
        """Hours that each piece of work takes, and failures on the way; both in the shape of `work`.

        Work is saved every τ, and at its end.
        """
        M, tau, save = self.between(devices), self.interval(devices), self.save_seconds / 3600
        pieces = np.maximum(np.floor(work / tau), 0).astype(np.int64)
        rest = np.maximum(work - pieces * tau, 0.0)
        whole = rng.negative_binomial(np.maximum(pieces, 1), math.exp(-(tau + save) / M))
        whole = np.where(pieces > 0, whole, 0)
        last = rng.geometric(np.exp(-(rest + save) / M)) - 1
        hours = pieces * (tau + save) + rest + save
        hours = hours + self._lost(whole, np.full(work.shape, tau + save), M, rng)
        hours = hours + self._lost(last, rest + save, M, rng)
        restart, failed = self.restart_minutes / 60, whole + last
        if restart > 0:
            again = np.where(
                failed > 0, rng.negative_binomial(np.maximum(failed, 1), math.exp(-restart / M)), 0
            )
            hours = hours + failed * restart + self._lost(again, np.full(work.shape, restart), M, rng)
            failed = failed + again
        return hours, failed

    @staticmethod
    def _lost(times: NDArray[np.int64], until: Array, M: float, rng: np.random.Generator) -> Array:
        """Hours into pieces of a length at which they failed, summed over so many failures of each."""
        every = np.repeat(np.arange(times.size), times.ravel())
        u = rng.random(len(every))
        at = -M * np.log1p(u * np.expm1(-until.ravel()[every] / M))
        lost: Array = np.bincount(every, at, times.size).astype(np.float64)
        return lost.reshape(times.shape)


@dataclass(frozen=True)
class Fleet:
    """What a study takes on so many devices."""

    devices: int
    each: int
    """Devices that share a stack."""
    interval: float
    """Hours between checkpoints."""
    hours: show.Interval
    """From the first step to the last row."""
    device_hours: float
    """Median, of devices at work; those with nothing left to do are given back."""
    failures: float
    """Mean."""
    lost: float
    """Share of the device-hours that saving, coming back and lost work take."""


def fleets(
    hours: Sequence[float], windows: int, devices: Sequence[int], failures: Failures, *, seed: int = 0
) -> list[Fleet]:
    """What a study takes on fleets of several sizes.

    Args:
        hours: of each stack on one device.
        windows: of a step; the most devices that can share a stack.
        devices: in each fleet.
        failures: how they fail.
        seed: of the failures.

    Raises:
        BadOption: a fleet without a device.
    """
    if any(n < 1 for n in devices):
        raise BadOption("devices", list(devices), "whole numbers, 1 or more")
    made = []
    for number, count in enumerate(devices):
        each = max(1, min(windows, count // max(1, len(hours))))
        each = 2 ** int(math.log2(each))
        work = np.sort(np.array(hours, float))[::-1] / failures.speedup(each)
        rng = np.random.default_rng([seed, number])
        took, failed = failures.drawn(np.tile(work, (_DRAWS, 1)), each, rng)
        ends = np.array([_last(one, count // each) for one in took])
        spent = each * took.sum(1)
        until = show.Interval.over(ends, _LEVEL)
        lost = 1.0 - each * float(work.sum()) / float(spent.mean()) if len(hours) else 0.0
        spent = float(np.median(spent))
        made.append(
            Fleet(count, each, failures.interval(each), until, spent, float(failed.sum(1).mean()), lost)
        )
    return made


def _last(hours: Array, groups: int) -> float:
    """When the last of some stacks is done, dealt out in their order."""
    busy = [0.0] * min(groups, max(1, len(hours)))
    for one in hours:
        heapq.heapreplace(busy, busy[0] + float(one))
    return max(busy)


def fleet_words(made: Sequence[Fleet], failures: Failures, speed: str, price: float | None) -> Iterator[str]:
    """The fleets as a table, with what it rests on."""
    header = [
        "devices",
        "a stack",
        "hours",
        "device-hours",
        "failures",
        "saving and failing take",
        "checkpoint every",
    ]
    header += ["cost"] if price is not None else []
    rows = []
    for one in made:
        row = [
            f"{one.devices:,}", f"{one.each:,}", one.hours.words(show.two_digits), show.two_digits(one.device_hours),
            show.two_digits(one.failures), f"{100 * one.lost:.2g} %", f"{show.two_digits(one.interval)} hours",
        ]  # fmt: skip
        rows.append(row + ([f"{price * one.device_hours:,.0f}"] if price is not None else []))
    yield str(show.Table(header, rows))
    yield (
        f"fleet  by {counted(_DRAWS, 'simulation')} ({_LEVEL:.0%} intervals), at {speed}; a device fails every "
        f"{failures.mtbf_hours:,.0f} hours, saving takes {failures.save_seconds:g} s, coming back "
        f"{failures.restart_minutes:g} min, and a doubling of a stack's devices loses {failures.lost_to_doubling:.0%}"
    )
