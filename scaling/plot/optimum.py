"""The compute-optimal model, found in the browser: a chain of Vega transforms that follows the sliders.

    minimise  L(N, C / f(N))  over  x = ln N,        f(N) FLOPs a token

The law is traced three times around x, which gives Newton's step by central differences; a handful of steps
from 20 tokens a parameter is enough, because a sum of falling and rising exponentials in x is nearly as easy as a
parabola. Every bootstrap draw is a row, so the interval moves with the slider. The alternative, a table of optima
worked out in Python for each slider position, is smaller on the page but freezes the law into it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from scaling.plot.vega import trace

STEPS = 5
"""Newton steps: the loss is within 1e-5 nats of the optimum for budgets up to a thousand times the unique tokens."""

_APART = 0.1
"""Distance in ln N between the three points of a step; the bias it leaves in ln N is below 0.01."""

Law = Callable[..., Any]


def optimum(
    law: Law,
    names: Sequence[str],
    *,
    flops_per_token: Law,
    compute: str,
    columns: dict[str, str] | None = None,
) -> list[dict[str, str]]:
    """Vega-Lite transforms that add the fields N, D and loss of the optimum to rows of parameter draws.

    Args:
        law: loss from N, D and the columns named in `columns`; operators and ufuncs only.
        names: parameters of the law, each a field of the rows.
        flops_per_token: FLOPs a token from N; operators and ufuncs only.
        compute: Vega text of the budget C in FLOPs: "datum.C", or "pow(10, slider)".
        columns: Vega text of every further column of the law.

    Raises:
        NotTraceable: one of the functions cannot run in the browser.
    """
    given = {name: f"datum[{name!r}]" for name in names} | (columns or {})

    def tokens(N: Any, C: Any) -> Any:
        return C / flops_per_token(N)

    def loss_at(N: Any, C: Any, **rest: Any) -> Any:
        return law(N, tokens(N, C), **rest)

    def loss(field: str, size: str) -> list[dict[str, str]]:
        return trace(loss_at, field, N=size, C=compute, **given)

    chain = [{"calculate": f"0.5*log({compute}/120)", "as": "x"}]  # 20 tokens a parameter at 6ND
    for _ in range(STEPS):
        for field, apart in (("lower", -_APART), ("loss", 0.0), ("upper", _APART)):
            chain += loss(field, f"exp(datum.x+{apart})")
        slope, bend = "(datum.upper-datum.lower)", "max(datum.upper-2*datum.loss+datum.lower,1e-12)"
        chain.append({"calculate": f"datum.x-clamp({_APART / 2}*{slope}/{bend},-2,2)", "as": "x"})
    chain.append({"calculate": "exp(datum.x)", "as": "N"})
    return [*chain, *trace(tokens, "D", N="datum.N", C=compute), *loss("loss", "datum.N")]


def quantiles(fields: Sequence[str], level: float, groupby: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Vega-Lite transforms from draws to one row a group: `loss_low`, `loss_mid`, `loss_high` and so on."""
    names = {(1 - level) / 2: "low", 0.5: "mid", (1 + level) / 2: "high"}
    words = "".join(f"datum.prob=={prob!r}?'_{name}':" for prob, name in names.items())
    return [
        {"fold": list(fields), "as": ["field", "value"]},
        {"quantile": "value", "probs": list(names), "groupby": [*groupby, "field"], "as": ["prob", "value"]},
        {"calculate": f"datum.field+({words}'')", "as": "name"},
        {"pivot": "name", "value": "value", "groupby": list(groupby)},
    ]
