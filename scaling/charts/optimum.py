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

import numpy as np

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

    def loss(x: Any, C: Any, **rest: Any) -> Any:
        return law(N=np.exp(x), D=tokens(np.exp(x), C), **rest)

    def stride(x: Any, length: float, **rest: Any) -> Any:
        return x + length * (2.0 * np.less(loss(x + _APART, **rest), loss(x - _APART, **rest)) - 1.0)

    def newton(x: Any, **rest: Any) -> Any:
        lower, here, upper = (loss(x + at, **rest) for at in (-_APART, 0.0, _APART))
        step = _APART / 2 * (upper - lower) / np.maximum(upper - 2.0 * here + lower, 1e-12)
        return x - np.minimum(np.maximum(step, -0.3), 0.3)

    def size(move: Law, **rest: Any) -> list[dict[str, str]]:
        return trace(move, "x", x="datum.x", C=compute, **given, **rest)

    return [
        {"calculate": f"0.5*log({compute}/120)", "as": "x"},
        *(step for length in STRIDES for step in size(stride, length=length)),
        *(step for _ in range(polish) for step in size(newton)),
        {"calculate": "exp(datum.x)", "as": "N"},
        *trace(tokens, "D", N="datum.N", C=compute),
        *trace(loss, "loss", x="datum.x", C=compute, **given),
    ]


def quantiles(fields: Sequence[str], level: float, groupby: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Vega-Lite transforms from draws to one row a group: `loss_low`, `loss_mid`, `loss_high` and so on."""
    names = {(1 - level) / 2: "low", 0.5: "mid", (1 + level) / 2: "high"}
    words = "".join(f"datum.prob=={prob!r}?'_{name}':" for prob, name in names.items())
    # one field needs no fold, which copies every row at every move
    fold = [{"fold": list(fields), "as": ["field", "value"]}] if len(fields) > 1 else []
    field, by = ("datum.field", ["field"]) if fold else (repr(fields[0]), [])
    return [
        *fold,
        {
            "quantile": "value" if fold else fields[0],
            "probs": list(names),
            "groupby": [*groupby, *by],
            "as": ["prob", "value"],
        },
        {"calculate": f"{field}+({words}'')", "as": "name"},
        {"pivot": "name", "value": "value", "groupby": list(groupby)},
    ]
