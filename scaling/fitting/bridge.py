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

from scaling.errors import require_columns
from scaling.fitting.estimate import fit
from scaling.fitting.options import Options
from scaling.fitting.result import Fit
from scaling.laws.base import Law, NotALaw, describe

if TYPE_CHECKING:
    import lmfit


def as_lmfit(law: Callable[..., Any] | Law | Fit) -> lmfit.Model:
    """The law as an `lmfit.Model` with its names, its bounds, and a `guess` that is this suite's own fit.

    Args:
        law: as for `scaling.fit`; or a fit, whose parameters are then where lmfit starts, within its bounds, those that
            it held still `vary=False`. Its priors stay behind, as lmfit has none.

    Returns:
        A model of the loss itself in nats/token: `model.fit(loss, params, N=N, D=D)` minimises squares unless lmfit
        is told otherwise. `model.guess(loss, N=N, D=D)` returns `lmfit.Parameters` at the minimum of least squares.

    Raises:
        NotALaw: as `describe`, or a parameter has a name that lmfit keeps for itself.
        MissingColumns: `guess`, without a column that the law reads.
    """
    import lmfit

    fitted = law if isinstance(law, Fit) else None
    described = describe(fitted.law if fitted else law)  # type: ignore[arg-type]
    options = fitted.options if fitted else Options()
    names = described.column_names
    defaults = {c.name: c.default for c in described.columns if c.default is not None}

    class ScalingModel(lmfit.Model):
        """A scaling law that lmfit can fit."""

        def guess(self, data: Any, **columns: Any) -> lmfit.Parameters:  # type: ignore[override]
            needed = [name for name in names if name not in defaults or name in columns]
            require_columns(needed, list(columns), f"{described.name} reads {', '.join(names)}.")
            runs = {name: np.asarray(columns[name], float) for name in needed}
            runs["target"] = np.asarray(data, float)
            best = fit(
                described.function, runs, objective="squares", target="target", bootstrap=0,
                fixed=options.fixed, bounds=options.bounds,
            )  # fmt: skip
            start = self.make_params()
            for name, value in best.params.items():
                start[name].set(value=value)
            return start

    def by_name(**given: Any) -> Any:
        columns = [given.pop(name, defaults.get(name)) for name in names]
        return described(*columns, **given)

    # lmfit reads names from the signature and takes keyword-only ones without a default for something else.
    either = inspect.Parameter.POSITIONAL_OR_KEYWORD
    listed = [inspect.Parameter(name, either) for name in (*names, *described.parameter_names)]
    by_name.__signature__ = inspect.Signature(listed)  # type: ignore[attr-defined]
    by_name.__name__ = described.name
    try:
        model = ScalingModel(
            by_name, independent_vars=list(names), param_names=list(described.parameter_names)
        )
    except ValueError as reason:  # "data" and "weights" are arguments of lmfit's own
        raise NotALaw(described.name, f"lmfit refuses it: {reason}") from None
    low, high = (limit.tolist() for limit in options.limits(described))
    ends = dict(zip(options.free(described), zip(low, high, strict=True), strict=True))
    for p in described.parameters:
        least, most = ends.get(p.name, (p.quantity.low, p.quantity.high))
        start = fitted.params[p.name] if fitted else p.default
        hint = {} if start is None else {"value": start}
        model.set_param_hint(p.name, min=least, max=most, vary=p.name in ends, **hint)
    return model
