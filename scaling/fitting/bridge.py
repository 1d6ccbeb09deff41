"""A law as an `lmfit.Model`, for lmfit's constraints, confidence intervals, `emcee` and reports.

    model = as_lmfit(chinchilla)
    start = model.guess(loss, N=N, D=D)
    print(model.fit(loss, start, N=N, D=D).ci_report())

Draws of the posterior, with flat priors within the law's bounds and the standard error of each loss known (pip install
emcee; without `weights` lmfit samples the scatter too, given fit_kws={"is_weighted": False}):

    best = model.fit(loss, start, weights=1 / stderr, N=N, D=D)
    how = {"steps": 2000, "burn": 500, "thin": 10, "seed": 0}
    chain = model.fit(loss, best.params, method="emcee", fit_kws=how, weights=1 / stderr, N=N, D=D)
    chain.flatchain["alpha"]

lmfit takes 0.9 s to import, so it is imported when this is called and not before.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from scaling.fitting.estimate import fit
from scaling.laws.base import Law, describe

if TYPE_CHECKING:
    import lmfit


def as_lmfit(law: Callable[..., Any] | Law) -> lmfit.Model:
    """The law as an `lmfit.Model` with its names, its bounds, and a `guess` that is this suite's own fit.

    Args:
        law: as for `scaling.fit`.

    Returns:
        A model of the loss itself in nats/token: `model.fit(loss, params, N=N, D=D)` minimises squares unless lmfit
        is told otherwise. `model.guess(loss, N=N, D=D)` returns `lmfit.Parameters` at the minimum of least squares.

    Raises:
        NotALaw: as `describe`.
    """
    import lmfit

    described = describe(law)

    names = described.column_names

    class ScalingModel(lmfit.Model):
        """A scaling law that lmfit can fit."""

        def guess(self, data: Any, **columns: Any) -> lmfit.Parameters:  # type: ignore[override]
            runs = {name: np.asarray(columns[name], float) for name in names}
            runs["target"] = np.asarray(data, float)
            fitted = fit(described.function, runs, objective="squares", target="target", bootstrap=0)
            start = self.make_params()
            for name, value in fitted.params.items():
                start[name].set(value=value)
            return start

    def by_name(**given: Any) -> Any:
        columns = [given.pop(name) for name in names]
        return described(*columns, **given)

    # lmfit reads names from the signature and takes keyword-only ones without a default for something else.
    either = inspect.Parameter.POSITIONAL_OR_KEYWORD
    listed = [inspect.Parameter(name, either) for name in (*names, *described.parameter_names)]
    by_name.__signature__ = inspect.Signature(listed)  # type: ignore[attr-defined]
    by_name.__name__ = described.name
    model = ScalingModel(by_name, independent_vars=list(names), param_names=list(described.parameter_names))
    for p in described.parameters:
        model.set_param_hint(p.name, min=p.quantity.low, max=p.quantity.high)
    return model
