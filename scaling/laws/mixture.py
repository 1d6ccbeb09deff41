"""What a blend of domains does to the loss on one of them, and what one domain is worth for another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from scaling.laws.base import (
    Count,
    Exponent,
    Nats,
    NotALaw,
    Quantity,
    Scale,
    Share,
    Signed,
    declared,
    describe,
    made_once,
)

Weight = Annotated[Any, Quantity("", low=0.0, start=(0.01, 2.0))]
"""How much something counts beside others of its kind; zero where it counts for nothing."""
Concave = Annotated[Any, Quantity("", low=0.0, high=1.0, start=(0.1, 1.0))]
"""The exponent of something that is worth less the more of it there is."""

Data = Annotated[Any, Quantity("", low=0.0, start=(0.0, 1.0))]
"""Tokens of one domain, or its share; zero where it was left out."""


def _named(maker: str, domains: tuple[str, ...], least: int) -> str:
    name = f"{maker}({', '.join(map(str, domains))})"
    if len(domains) < least or not all(isinstance(d, str) and d.isidentifier() for d in domains):
        raise NotALaw(
            name, f"its domains must be names of columns, at least {'two' if least == 2 else 'one'}"
        )
    return name


@made_once
def mixing(*domains: str) -> Callable[..., NDArray]:
    """Loss on one domain as a function of the blend, as a law of its own.

        L(r) = E + k exp( Σ_j t_j r_j )

    A negative t_j says that domain j helps. The shares of all domains sum to one, so a common shift of every t_j is a
    factor of k, and `fit` would report k and t as not determined. Leave one domain out to be the reference (its t
    is 0), and every parameter is.

    Args:
        *domains: names of the columns with the shares, all but the reference.

    Returns:
        A law of those columns with parameters E, k and t_<domain> for each.

    Raises:
        NotALaw: no domain, or one that is not a name.

    Source:
        Ye et al. 2024, arXiv:2403.16952, equation 1, the data mixing law (there c_i for E).
    """
    name = _named("mixing", domains, 1)

    def law(*shares: Any, E: Any, k: Any, **helps: Any) -> Any:
        exponent = helps[f"t_{domains[0]}"] * shares[0]
        for domain, share in zip(domains[1:], shares[1:], strict=True):
            exponent = exponent + helps[f"t_{domain}"] * share
        return E + k * np.exp(exponent)

    kinds = {"E": Nats, "k": Scale} | {f"t_{d}": Signed for d in domains}
    return declared(law, name, mixing.__doc__, dict.fromkeys(domains, Share), kinds)


@made_once
def additive_mixing(*domains: str) -> Callable[..., NDArray]:
    """Loss on one domain where the worths of the domains add up, each with returns that diminish.

        L(r) = E + 1 / Σ_j C_j r_j^gamma_j

    All domains are named, none is the reference. With gamma_j of at most 1 the loss is convex in the shares, so that a
    weighted sum of such laws has one best blend. For runs of several sizes or budgets wrap it in `with_scale`.

    Args:
        *domains: names of the columns with the shares.

    Returns:
        A law of those columns with parameters E, and C_<domain> and gamma_<domain> for each.

    Raises:
        NotALaw: no domain, or one that is not a name.

    Source:
        Shukor et al. 2025, arXiv:2507.09404, the blend's part of their additive law; the bound on gamma_j is this
        suite's.
    """
    name = _named("additive_mixing", domains, 1)

    def law(*shares: Any, E: Any, **parameters: Any) -> Any:
        worth: Any = 0.0
        for domain, share in zip(domains, shares, strict=True):
            worth = worth + parameters[f"C_{domain}"] * share ** parameters[f"gamma_{domain}"]
        return E + 1.0 / worth

    kinds: dict[str, Any] = {"E": Nats}
    for domain in domains:
        kinds |= {f"C_{domain}": Weight, f"gamma_{domain}": Concave}
    return declared(law, name, additive_mixing.__doc__, dict.fromkeys(domains, Share), kinds)


@made_once
def exchange(*domains: str) -> Callable[..., NDArray]:
    """Loss on the first domain where a token of each other one is worth a fixed number of its own.

        L(d) = E + B / (d_1 + Σ_{j > 1} tau_j d_j)^beta

    The columns are tokens of each domain, or shares where all runs saw equally many. tau_j is the exchange rate, at
    least 0: a domain that does harm beyond the room it takes cannot be told from one without worth.

    Args:
        *domains: names of the columns, the target's own first.

    Returns:
        A law of those columns with parameters E, B, beta and tau_<domain> for each but the first.

    Raises:
        NotALaw: fewer than two domains, or one that is not a name.

    Source:
        The effective data of Longpre et al. 2025 (ATLAS), arXiv:2510.22037, without repeats, in the data term of
        Hoffmann et al. 2022, arXiv:2203.15556.
    """
    name = _named("exchange", domains, 2)

    def law(own: Any, *others: Any, E: Any, B: Any, beta: Any, **rates: Any) -> Any:
        worth = own
        for domain, data in zip(domains[1:], others, strict=True):
            worth = worth + rates[f"tau_{domain}"] * data
        return E + B / worth**beta

    kinds = {"E": Nats, "B": Scale, "beta": Exponent} | {f"tau_{d}": Weight for d in domains[1:]}
    return declared(law, name, exchange.__doc__, dict.fromkeys(domains, Data), kinds)


def bivariate_mixing(
    share: Share, D: Count, *, B: Scale, C: Nats, alpha: Exponent, beta: Exponent
) -> NDArray:
    """Loss on one domain from its own share alone, whatever the others are.

        L(r, D) = (B / D^beta + C) / r^alpha

    Args:
        share: of the domain in the blend, r, above zero. Float array of any shape, broadcast against D.
        D: training tokens of the blend.
        B: size of the term of data, nats/token at D = 1 and r = 1.
        C: loss that data do not remove where the domain is all there is, nats/token.
        alpha, beta: dimensionless.

    Returns:
        Loss in nats/token, in the broadcast shape of share and D.

    Source:
        Ge et al. 2024 (BiMix), arXiv:2405.14908; their factor A is taken into B and C.
    """
    return (B / D**beta + C) / share**alpha


@made_once
def with_scale(law: Callable[..., Any], *scales: str) -> Callable[..., Any]:
    """A law of a blend as one of size or tokens too, which add to it.

        L(r, N, D) = law(r) + A / N^alpha + B / D^beta

    The best blend is then the same at every size: where it is not, fit each size apart.

    Args:
        law: of shares.
        *scales: "N", "D" or both.

    Returns:
        A law of the columns of `law` and the scales, with its parameters and A and alpha, B and beta.

    Raises:
        NotALaw: other scales, or a law that has one of these names already.

    Source:
        Shukor et al. 2025, arXiv:2507.09404, their additive law.
    """
    plain, terms = describe(law), {"N": ("A", "alpha"), "D": ("B", "beta")}
    name = f"{plain.name} with scale {', '.join(scales)}"
    if not scales or not set(scales) <= set(terms):
        raise NotALaw(name, "its scales must be N, D or both")
    extra = {p: kind for s in scales for p, kind in zip(terms[s], (Scale, Exponent), strict=True)}
    if twice := {*plain.column_names, *plain.parameter_names} & {*scales, *extra}:
        raise NotALaw(name, f"{plain.name} has {', '.join(sorted(twice))} already")

    def scaled(*columns: Any, **parameters: Any) -> Any:
        own = {p: value for p, value in parameters.items() if p not in extra}
        loss = law(*columns[: len(plain.columns)], **own)
        for scale, count in zip(scales, columns[len(plain.columns) :], strict=True):
            size, exponent = terms[scale]
            loss = loss + parameters[size] / count ** parameters[exponent]
        return loss

    reads = {c.name: Annotated[Any, c.quantity] for c in plain.columns} | dict.fromkeys(scales, Count)
    kinds = {p.name: Annotated[Any, p.quantity] for p in plain.parameters} | extra
    return declared(scaled, name, with_scale.__doc__, reads, kinds)


@made_once
def with_transfer(law: Callable[..., Any]) -> Callable[..., Any]:
    """A law of N and D as one of runs on a target with and without training elsewhere before.

        L(N, D, pretrained) = law(N, D + pretrained D_T),   D_T = k D^alpha_T N^beta_T

    D_T is the effective data transferred of `transferred_data`, here read off the losses: one fit of runs from scratch
    and of pre-trained ones says what the other domain was worth.

    Args:
        law: a law of the columns N and D, such as `kaplan` or `chinchilla`; D is data of the target domain.

    Returns:
        A law of N, D and pretrained (0 from scratch, 1 pre-trained); its parameters are those of `law`, and k, alpha_T
        and beta_T.

    Raises:
        NotALaw: `law` reads other columns.

    Source:
        Hernandez et al. 2021, arXiv:2102.01293, equation 1.1, where `law` is that of Kaplan et al. 2020.
    """
    plain = describe(law)
    name = f"{plain.name} with transfer"
    if plain.column_names != ("N", "D"):
        raise NotALaw(name, f"{plain.name} reads {', '.join(plain.column_names)}, and transfer needs N and D")

    def transferring(
        N: Any, D: Any, pretrained: Any, *, k: Any, alpha_T: Any, beta_T: Any, **parameters: Any
    ) -> Any:
        return law(N, D + pretrained * transferred_data(D, N, k=k, alpha=alpha_T, beta=beta_T), **parameters)

    kinds = {p.name: Annotated[Any, p.quantity] if p.annotated else None for p in plain.parameters}
    extra = {"k": Scale, "alpha_T": Exponent, "beta_T": Exponent}
    columns = {"N": Count, "D": Count, "pretrained": Share}
    return declared(transferring, name, with_transfer.__doc__, columns, kinds | extra)


def transferred_data(D_finetune: Count, N: Count, *, k: Scale, alpha: Exponent, beta: Exponent) -> NDArray:
    """Data of the target domain that pre-training elsewhere was worth.

        D_T(D_F, N) = k D_F^alpha N^beta

    D_T is measured: what a model from scratch needs for the same loss, minus D_F. Fit it with target="D_transferred" or
    whatever the column is called. It holds in the low-data regime; the multiplier of the data is (D_F + D_T) / D_F.

    Args:
        D_finetune: data of the target domain (characters, in the paper).
        N: parameters without embeddings.
        k: how close the two domains are.
        alpha, beta: dimensionless.

    Returns:
        Data, in the unit of D_finetune.

    Source:
        Hernandez et al. 2021, arXiv:2102.01293, equation 1.1, effective data transferred, and table 1. From text to
        Python: k 1.9e4, alpha 0.18, beta 0.38; from half text, half other code: k 2.1e5, alpha 0.096, beta 0.38.
    """
    return k * D_finetune**alpha * N**beta
