"""Stock of text and demand for it in every draw, and the year in which they meet."""

from __future__ import annotations

import dataclasses
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.design.allocation import parameter_draws
from scaling.fitting import Fit
from scaling.laws.base import describe
from scaling.laws.optimal import FLOPS_PER_PARAMETER_TOKEN, optimum
from scaling.laws.wall import text_on_offer, wall_year, worth_of_repeats
from scaling.questions._wall.cost import UNLIMITED, Text
from scaling.questions._wall.inputs import Inputs, Intervention
from scaling.questions._wall.roles import E_FOLD, ROLES, Demand

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Paths:
    """Both sides of the wall: natural logarithms at the start and their growth per year, of shape (draws,)."""

    text: Text
    demand: Array
    demand_growth: Array

    @property
    def stock(self) -> Array:
        """Natural logarithm of the effective stock at the start, repeats counted."""
        return self.text.distinct + np.log(self.text.repeats)

    def dates(self, start: float, horizon: float) -> Array:
        """Year in which demand reaches the stock, infinite after the horizon."""
        stock, demand, growth, demand_growth = map(
            np.exp, (self.stock, self.demand, self.text.growth, self.demand_growth)
        )
        year = wall_year(stock, demand, stock_growth=growth, demand_growth=demand_growth, start=start)
        passed_for_good = (self.demand_growth <= self.text.growth) & (year < start)
        return np.where(passed_for_good, start, np.where(year > horizon, np.inf, year))


@dataclass(frozen=True, eq=False, kw_only=True)
class World:
    """Draws of every input and of the law's parameters."""

    inputs: Inputs
    draws: int
    seed: int
    law: Callable[..., Any]
    parameters: dict[str, Array]
    """Bootstrap draws of the law's parameters, each of shape (bootstrap,); empty where the law has set them."""
    picked: NDArray[np.int64]
    """Which of them each draw has, shape (draws,)."""
    values: dict[str, Array]
    """Each input as its role counts it, of shape (draws,) or ()."""
    redrawn: dict[str, int]

    @staticmethod
    def of(inputs: Inputs, draws: int, seed: int, law: Fit | Callable[..., Any]) -> World:
        """A fit lends its bootstrap draws, together with the inputs that are parameters of the same fit.

        Raises:
            NotALaw: the law does not read N and D, or a parameter has no value.
        """
        parameters, picked = {}, np.zeros(draws, int)
        if isinstance(law, Fit):
            held = describe(law.law).held
            parameters = {n: drawn for n, drawn in parameter_draws(law).items() if n not in held}
            count = len(next(iter(parameters.values())))
            generator = np.random.default_rng([seed, zlib.crc32(law.data_hash.encode())])
            picked = np.minimum((generator.random(draws) * count).astype(int), count - 1)
        law = law.law if isinstance(law, Fit) else law
        _frontier(law, parameters, 1e25)  # a law that cannot be split is refused before anything is drawn
        drawn = {name: inputs.draw(name, draws, seed) for name in ROLES}
        return World(
            inputs=inputs,
            draws=draws,
            seed=seed,
            law=law,
            parameters=parameters,
            picked=picked,
            values={name: values for name, (values, _) in drawn.items()},
            redrawn={name: again for name, (_, again) in drawn.items() if again},
        )

    def moved(self, by: Intervention) -> World:
        """The same draws with one input replaced."""
        inputs = self.inputs.but(None, **{by.input: by.instead})
        words = [n for n, given in inputs.inputs.items() if given.unit == "words"]
        renewed = {by.input, *(words if by.input == "tokens_per_word" else ())}
        moved = {name: inputs.draw(name, self.draws, self.seed)[0] for name in renewed}
        return dataclasses.replace(self, inputs=inputs, values=self.values | moved)

    def paths(self, demand: Demand | None = None) -> Paths:
        """Stock and demand, by default the demand that the inputs name."""
        v = self.values
        text = v["stock"]
        if "stock" not in self.inputs.inputs:
            text = v["pages"] * v["bytes_per_page"] / v["bytes_per_token"]
        distinct = text_on_offer(
            text * v["quality"] * v["deduplication"],
            synthetic=v["synthetic"], multimodal=v["multimodal"], efficiency=v["efficiency"],
        )  # fmt: skip
        asked, asked_growth = self._demand(demand or self.inputs.demand)
        growth = np.log(v["pages_growth"] * v["page_size_growth"])
        every = np.log(distinct), growth, self._worth(), asked, asked_growth
        distinct, growth, worth, asked, asked_growth = (np.broadcast_to(a, self.draws) for a in every)
        return Paths(Text(distinct, growth, worth), asked, asked_growth)

    def of_law(self) -> dict[str, Array]:
        """What varies with the law's parameters alone: the training set at the median compute, if the law asks."""
        if self.inputs.demand != "law":
            return {}
        D, _ = _frontier(self.law, self.parameters, float(np.median(self.values["compute"])))
        return {"law": D[self.picked]}

    def _worth(self) -> Array:
        """What training on a text again and again is worth, over a single epoch."""
        repeats, epochs = self.values["repeats"], self.values["epochs"]
        given = self.inputs.inputs.get("repeats")
        if given is not None and given.unit == E_FOLD:
            return worth_of_repeats(epochs, repeats)
        return np.minimum(repeats, epochs)

    def _demand(self, demand: Demand) -> tuple[Array, Array]:
        """Natural logarithm of the tokens asked for at the start, and its growth per year."""
        v = self.values
        over, growth = np.log(v["overtraining"]) / 2, np.log(v["compute_growth"])
        if demand == "historical":
            return np.log(v["dataset"]) + over, np.log(v["dataset_growth"])
        if demand == "compute-optimal":
            tokens = np.log(v["tokens_per_parameter"] * v["compute"] / FLOPS_PER_PARAMETER_TOKEN) / 2
            return tokens + over, growth / 2
        if demand == "law":
            middle = float(np.median(v["compute"]))
            D, slope = (each[self.picked] for each in _frontier(self.law, self.parameters, middle))
            return np.log(D) + slope * np.log(v["compute"] / middle) + over, slope * growth
        coin = np.random.default_rng([self.seed, zlib.crc32(b"demand")]).random(self.draws) < 0.5
        (trend, trend_growth), (tokens, tokens_growth) = map(self._demand, ("historical", "compute-optimal"))
        return np.where(coin, trend, tokens), np.where(coin, trend_growth, tokens_growth)


def _frontier(law: Callable[..., Any], parameters: dict[str, Array], C: float) -> tuple[Array, Array]:
    """The law's best D at C, and its exponent in C, in each draw of its parameters."""
    given: dict[str, Any] = dict(parameters)
    if "unique_tokens" in describe(law).column_names:
        given["unique_tokens"] = UNLIMITED
    D = np.atleast_2d(optimum(law, [C, 1e3 * C], **given).D)
    return D[:, 0], np.log(D[:, 1] / D[:, 0]) / math.log(1e3)
