"""The compute-optimal model, sought in the browser: a chain of Vega transforms that follows the sliders.

    minimise  L(N, C / f(N), U)  over  x = ln N,        f(N) FLOPs a token, U unique tokens

From 20 tokens a parameter, the side on which the loss is lower is taken in strides that halve; a Newton step by
central differences then lands on the optimum. Newton's method alone swings from side to side for the odd draw whose
loss is nearly straight in x, and takes five steps where repeats have all but faded. Every bootstrap draw is a row,
so the interval moves with the slider. The alternative, a table of optima worked out in Python for each slider
position, is smaller on the page but freezes the law into it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from scaling.charts.vega import trace

STRIDES = (3.0, 1.5, 0.75, 0.4, 0.2)
"""In ln N: together they reach from 1/350 to 350 times the size that they start from."""

_APART = 0.1
"""Distance in ln N between the points of a difference; the bias it leaves in ln N is below 0.01."""

Law = Callable[..., Any]


def optimum(
    law: Law, names: Sequence[str], *, flops_per_token: Law, compute: str, unique_tokens: str, polish: int = 1
) -> list[dict[str, str]]:
    """Vega-Lite transforms that add the fields N, D and loss of the optimum to rows of parameter draws.

    Args:
        law: loss from N, D and unique_tokens; operators and ufuncs only.
        names: parameters of the law, each a field of the rows.
        flops_per_token: FLOPs a token from N; operators and ufuncs only.
        compute: Vega text of the budget C in FLOPs: "datum.C", or "pow(10, slider)".
        unique_tokens: Vega text of the distinct tokens on offer.
        polish: Newton steps at the end. One leaves the loss within 1e-4 of the optimum and N within a few percent,
            two leave 1e-5 and one percent.

    Raises:
        NotTraceable: one of the functions cannot run in the browser.
    """
    given = {name: f"datum[{name!r}]" for name in names} | {"unique_tokens": unique_tokens}

    def tokens(N: Any, C: Any) -> Any:
        return C / flops_per_token(N)

    def loss_at(N: Any, C: Any, **rest: Any) -> Any:
        return law(N=N, D=tokens(N, C), **rest)

    def loss(field: str, size: str) -> list[dict[str, str]]:
        return trace(loss_at, field, N=size, C=compute, **given)

    lower, upper = f"exp(datum.x-{_APART})", f"exp(datum.x+{_APART})"
    chain = [{"calculate": f"0.5*log({compute}/120)", "as": "x"}]
    for stride in STRIDES:
        chain += [*loss("lower", lower), *loss("upper", upper)]
        chain.append({"calculate": f"datum.x+(datum.upper<datum.lower?{stride}:-{stride})", "as": "x"})
    for _ in range(polish):
        chain += [*loss("lower", lower), *loss("loss", "exp(datum.x)"), *loss("upper", upper)]
        slope, bend = "(datum.upper-datum.lower)", "max(datum.upper-2*datum.loss+datum.lower,1e-12)"
        chain.append({"calculate": f"datum.x-clamp({_APART / 2}*{slope}/{bend},-0.3,0.3)", "as": "x"})
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
