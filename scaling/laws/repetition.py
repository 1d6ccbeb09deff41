"""Loss when tokens repeat: what a second look at the same text is worth."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from scaling.laws.base import (
    Count,
    Epochs,
    Exponent,
    Nats,
    NotALaw,
    Pool,
    Scale,
    declared,
    describe,
    made_once,
)


def effective_data(D: Any, unique_tokens: Any, R_D: Any) -> Any:
    """Fresh tokens that would be worth as much as D tokens of which only some are distinct.

        D' = U + U R_D (1 - exp(-R / R_D)),   R = D / U - 1,   U = min(D, unique_tokens)

    The marginal worth of a repeat is exp(-R / R_D): R_D is the e-folding number of repeats, the half-life is
    R_D ln 2, and no number of repeats is worth more than U (1 + R_D).

    Args:
        D: tokens trained on, repeats counted. Array.
        unique_tokens: distinct tokens on offer. Array, broadcast against D.
        R_D: repeats after which a token is worth 1/e of a fresh one.

    Returns:
        Tokens, between U and D.

    Source:
        Muennighoff et al. 2023, arXiv:2305.16264, equation 5.
    """
    U = np.minimum(unique_tokens, D)
    return U + U * R_D * (1.0 - np.exp(-(D / U - 1.0) / R_D))


@made_once
def with_repeats(law: Callable[..., Any]) -> Callable[..., Any]:
    """A law of N and D as a law of N, D and unique_tokens, in which repeats fade.

        L(N, D, U) = law(N, D'),   D' as in `effective_data`

    `with_repeats(chinchilla)` is `repeated_data`; any other form whose data term is the better one gains R_D alike.

    Args:
        law: a law of the columns N and D.

    Returns:
        A law with the parameters of `law`, and R_D.

    Raises:
        NotALaw: `law` reads other columns.

    Source:
        Muennighoff et al. 2023, arXiv:2305.16264, equation 5, for D'.
    """

    def repeating(N: Any, D: Any, unique_tokens: Any, *, R_D: Any, **parameters: Any) -> Any:
        return law(N, effective_data(D, unique_tokens, R_D), **parameters)

    return _of_unique_tokens(law, repeating, "with repeats", with_repeats.__doc__, {"R_D": Epochs})


@made_once
def with_fading(law: Callable[..., Any]) -> Callable[..., Any]:
    """A law of N and D as a law of N, D and unique_tokens, in which each epoch moves the loss by a smaller power.

        L(N, D, U) = law(N, D'),   ln D' = ln U + Σ_{k ≥ 2} 2^(-(k-1)/half_life) ln(n_k / n_{k-1})

    n_k is the number of tokens seen after epoch k. Where the data term is B D^-beta, it falls by (n_k / n_{k-1})^-b_k
    in epoch k, b_k = beta 2^(-(k-1)/half_life), as in `fading_pool`. Epochs beyond the fortieth count as nothing.

    Args:
        law: a law of the columns N and D.

    Returns:
        A law with the parameters of `law`, and half_life.

    Raises:
        NotALaw: `law` reads other columns.

    Source:
        Goyal et al. 2024, arXiv:2404.07177, their law for one set of unique tokens, here for the data term of any law.
    """

    def fading(N: Any, D: Any, unique_tokens: Any, *, half_life: Any, **parameters: Any) -> Any:
        return law(N, np.exp(_faded(D, unique_tokens, half_life)), **parameters)

    return _of_unique_tokens(law, fading, "with fading", with_fading.__doc__, {"half_life": Epochs})


@made_once
def with_overfitting(law: Callable[..., Any]) -> Callable[..., Any]:
    """A law of N and D, or of those and unique_tokens, with a price on repeats that grows with the model.

        L(N, D, U) = law(N, D, U) + P R^delta (N / U)^kappa,   R = D / U - 1,   U = min(D, unique_tokens)

    `with_overfitting(chinchilla)` is `overfitting`, in which repeats count in full; over `with_repeats(law)` they fade
    too.

    Args:
        law: a law of the columns N and D, or N, D and unique_tokens.

    Returns:
        A law with the parameters of `law`, and P, delta, kappa.

    Raises:
        NotALaw: `law` reads other columns.

    Source:
        Lovelace et al. 2026, arXiv:2605.01640, for the added term.
    """
    columns = ("N", "D", "unique_tokens")
    reads = slice(3 if describe(law).column_names == columns else 2)

    def overfitted(*measured: Any, P: Any, delta: Any, kappa: Any, **parameters: Any) -> Any:
        N, D, unique_tokens = measured
        U = np.minimum(unique_tokens, D)
        return law(*measured[reads], **parameters) + P * (D / U - 1.0) ** delta * (N / U) ** kappa

    price = {"P": Scale, "delta": Exponent, "kappa": Exponent}
    doc = with_overfitting.__doc__
    return _of_unique_tokens(law, overfitted, "with overfitting", doc, price, columns[reads])


def _of_unique_tokens(
    law: Callable[..., Any], made: Callable[..., Any], what: str, doc: str | None, extra: dict[str, Any],
    reads: tuple[str, ...] = ("N", "D"),
) -> Callable[..., Any]:  # fmt: skip
    """`made` under the signature of `law` with the distinct tokens as a further column and `extra` parameters."""
    plain = describe(law)
    name = f"{plain.name} {what}"
    if plain.column_names != reads:
        raise NotALaw(name, f"{plain.name} reads {', '.join(plain.column_names)}, and repeats need N and D")
    kinds = {p.name: Annotated[Any, p.quantity] if p.annotated else None for p in plain.parameters}
    return declared(made, name, doc, {"N": Count, "D": Count, "unique_tokens": Pool}, kinds | extra)


_EPOCHS = 40


def _faded(D: Any, unique_tokens: Any, half_life: Any) -> Any:
    """Logarithm of the fresh tokens that D tokens are worth where every epoch moves the loss by a smaller power."""
    fade = 0.5 ** (1.0 / half_life)
    U = np.minimum(unique_tokens, D)
    worth, tokens = 1.0, np.log(U)
    for k in range(2, _EPOCHS + 1):
        worth = worth * fade
        tokens = tokens + worth * np.log(np.minimum(D, k * U) / np.minimum(D, (k - 1) * U))
    return tokens


def repeated_data(
    N: Count, D: Count, unique_tokens: Pool,
    *, E: Nats, A: Scale, B: Scale, alpha: Exponent, beta: Exponent, R_D: Epochs,
) -> NDArray:  # fmt: skip
    """Loss of a model with N parameters after D tokens of which only some are distinct.

        L = E + A / N^alpha + B / D'^beta,   D' as in `effective_data`

    `data_constrained` without its parameter twin: repeats fade, parameters do not.

    Args:
        N, E, A, B, alpha, beta: as in `chinchilla`.
        D: training tokens, repeats counted.
        unique_tokens: distinct tokens seen, U. Broadcast against N and D.
        R_D: repeats after which a token is worth 1/e of a fresh one (half-life R_D ln 2).

    Returns:
        Loss in nats/token, in the broadcast shape of N, D and unique_tokens.

    Source:
        Muennighoff et al. 2023, arXiv:2305.16264, equations 4 and 5, with N' = N.
    """
    return E + A / N**alpha + B / effective_data(D, unique_tokens, R_D) ** beta


def data_constrained(
    N: Count, D: Count, unique_tokens: Pool,
    *, E: Nats, A: Scale, B: Scale, alpha: Exponent, beta: Exponent, R_D: Epochs, R_N: Epochs,
) -> NDArray:  # fmt: skip
    """Loss when tokens repeat and parameters beyond what the distinct tokens can fill fade too.

        L = E + A / N'^alpha + B / D'^beta
        D' = U + U R_D (1 - exp(-R / R_D)),             R = D / U - 1
        N' = U_N + U_N R_N (1 - exp(-S / R_N)),         S = N / U_N - 1
        U_N = min(N, G (G U)^(beta/alpha)),             G = (alpha A / (beta B))^(1/(alpha+beta))

    U_N is the size that U distinct tokens would be the compute-optimal training set of.

    Args:
        N, E, A, B, alpha, beta: as in `chinchilla`.
        D: training tokens, repeats counted.
        unique_tokens: distinct tokens seen, U. Broadcast against N and D.
        R_D: repeats after which a token is worth 1/e of a fresh one (half-life R_D ln 2).
        R_N: the same for parameters in excess of U_N.

    Returns:
        Loss in nats/token, in the broadcast shape of N, D and unique_tokens.

    Source:
        Muennighoff et al. 2023, arXiv:2305.16264, equations 4 to 6, and U_N from the authors' code: at their
        constants L(6.34e9, 242e9, 25e9) = 2.2256440889984477.
    """
    U = np.minimum(unique_tokens, D)
    G = (alpha * A / (beta * B)) ** (1.0 / (alpha + beta))
    U_N = np.minimum(N, G * (G * U) ** (beta / alpha))
    return E + A / effective_data(N, U_N, R_N) ** alpha + B / effective_data(D, U, R_D) ** beta


def overfitting(
    N: Count, D: Count, unique_tokens: Pool,
    *, E: Nats, A: Scale, B: Scale, alpha: Exponent, beta: Exponent, P: Scale, delta: Exponent, kappa: Exponent,
) -> NDArray:  # fmt: skip
    """Loss when repeats count in full and overfitting has its own price.

        L = E + A / N^alpha + B / D^beta + P R^delta (N / U)^kappa,   R = D / U - 1,   U = min(D, unique_tokens)

    Unlike `data_constrained` it turns up again: beyond some number of epochs more of them do harm, the earlier the
    larger the model.

    Args:
        N, E, A, B, alpha, beta: as in `chinchilla`.
        D: training tokens, repeats counted.
        unique_tokens: distinct tokens seen, U. Broadcast against N and D.
        P: price of overfitting, nats/token at R = 1 and N = U.
        delta, kappa: how it grows with repeats and with parameters per distinct token, dimensionless.

    Returns:
        Loss in nats/token, in the broadcast shape of N, D and unique_tokens.

    Source:
        Lovelace et al. 2026, arXiv:2605.01640.
    """
    U = np.minimum(unique_tokens, D)
    return E + A / N**alpha + B / D**beta + P * (D / U - 1.0) ** delta * (N / U) ** kappa


def ensemble(N: Count, members: Pool, *, E: Nats, A: Scale, alpha: Exponent, B: Scale) -> NDArray:
    """Loss of an ensemble of equally trained models on a fixed corpus.

        L(N, K) = E + A / N^alpha + B / K

    With strong regularisation more size and more members keep helping on fixed data; E is what both together leave.

    Args:
        N: parameters of one member. Float array of any shape, broadcast against members.
        members: K, how many models are averaged.
        E: loss at unlimited size and members, nats/token.
        A: size of the term of size, nats/token at N = 1.
        alpha: dimensionless.
        B: excess of a single member over an infinite ensemble, nats/token.

    Returns:
        Loss in nats/token, in the broadcast shape of N and members.

    Source:
        Kim et al. 2025, arXiv:2509.14786: the power law in N and the excess of 1/K, which they fit one after the other.
        That the two add up is this suite's reading of it.
    """
    return E + A / N**alpha + B / members


def fading_pool(
    D: Count, unique_tokens: Pool, *, E: Nats, A: Scale, beta: Exponent, half_life: Epochs
) -> NDArray:
    """Loss when the worth of a unique-token budget fades by half every so many epochs.

        L = E + A Π_k (n_k / n_{k-1})^(-b_k),   b_k = beta 2^(-(k-1)/half_life)

    n_k is the number of tokens seen after epoch k, n_0 = 1: within epoch k the removable loss falls with exponent b_k.
    Epochs beyond the fortieth count as nothing.

    Args:
        D: training tokens, repeats counted. Float array of any shape, broadcast against unique_tokens.
        unique_tokens: distinct tokens that may be seen.
        E: loss that data do not remove, nats/token.
        A: size of the removable part at D = 1, nats/token.
        beta: exponent of the first epoch: the utility of the text, dimensionless.
        half_life: epochs after which the exponent is half as large.

    Returns:
        Loss in nats/token, in the broadcast shape of D and unique_tokens.

    Source:
        Goyal et al. 2024, arXiv:2404.07177, their law for one pool of data.
    """
    return E + A * np.exp(-beta * _faded(D, unique_tokens, half_life))


MUENNIGHOFF_2023 = partial(
    data_constrained,
    E=float(np.exp(0.6254804)),
    A=float(np.exp(6.255414)),
    B=float(np.exp(7.3049974)),
    alpha=0.3526596,
    beta=0.3526596,
    R_D=15.387756,
    R_N=5.309743,
)
"""Constants of Muennighoff et al. 2023 on C4, from the authors' code, where E, A and B are kept as logarithms."""
