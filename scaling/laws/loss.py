"""Loss as a function of size, data and compute, every token seen once."""

from __future__ import annotations

from functools import partial

from numpy.typing import NDArray

from scaling.laws.base import Count, Exponent, Nats, Scale, Sharpness


def power_law(N: Count, *, A: Scale, alpha: Exponent) -> NDArray:
    """Loss that falls for ever.

        L(N) = A / N^alpha

    Args:
        N: parameters (or any other scale), array.
        A: loss at N = 1, nats/token.
        alpha: dimensionless.

    Returns:
        Loss in nats/token, in the shape of N.

    Source:
        Hestness et al. 2017, arXiv:1712.00409, section 2; Kaplan et al. 2020, arXiv:2001.08361, equation 1.1,
        where A = N_c^alpha.
    """
    return A / N**alpha


def power_law_floor(N: Count, *, E: Nats, A: Scale, alpha: Exponent) -> NDArray:
    """Loss that falls towards a floor.

        L(N) = E + A / N^alpha

    Args:
        N: parameters (or any other scale), array.
        E: loss that size does not remove, nats/token.
        A: size of the removable part at N = 1, nats/token.
        alpha: dimensionless.

    Returns:
        Loss in nats/token, in the shape of N.

    Source:
        Henighan et al. 2020, arXiv:2010.14701, equation 1.1, where A = x0^alpha.
    """
    return E + A / N**alpha


def compute_only(C: Count, *, E: Nats, A: Scale, alpha: Exponent) -> NDArray:
    """Loss of the best model that a budget of training compute can buy.

        L(C) = E + A / C^alpha

    For runs on the frontier only: one run per budget, N and D chosen well.

    Args:
        C: training FLOPs, array.
        E: loss that compute does not remove, nats/token.
        A: size of the removable part at C = 1, nats/token.
        alpha: dimensionless.

    Returns:
        Loss in nats/token, in the shape of C.

    Source:
        Kaplan et al. 2020, arXiv:2001.08361, equation 1.3, with the floor of Henighan et al. 2020,
        arXiv:2010.14701, equation 1.1.
    """
    return E + A / C**alpha


def kaplan(N: Count, D: Count, *, N_c: Count, D_c: Count, alpha_N: Exponent, alpha_D: Exponent) -> NDArray:
    """Loss of a model with N parameters after D tokens, without a floor.

        L(N, D) = [ (N_c / N)^(alpha_N / alpha_D) + D_c / D ]^alpha_D

    Size and data are coupled: the scarcer of the two limits, and the loss goes to zero with both.

    Args:
        N: parameters without embeddings. Float array of any shape, broadcast against D.
        D: training tokens.
        N_c: parameters at which the loss of unlimited data would be 1 nat/token.
        D_c: tokens at which the loss of an infinite model would be 1 nat/token.
        alpha_N, alpha_D: exponents of the two limits, dimensionless.

    Returns:
        Loss in nats/token, in the broadcast shape of N and D.

    Source:
        Kaplan et al. 2020, arXiv:2001.08361, equation 1.5.
    """
    return ((N_c / N) ** (alpha_N / alpha_D) + D_c / D) ** alpha_D


def chinchilla(
    N: Count, D: Count, *, E: Nats, A: Scale, B: Scale, alpha: Exponent, beta: Exponent
) -> NDArray:
    """Loss of a model with N parameters after D tokens, each token seen once.

        L(N, D) = E + A / N^alpha + B / D^beta

    Args:
        N: parameters. Float array of any shape, broadcast against D.
        D: training tokens.
        E: loss that neither size nor data removes, nats/token.
        A, B: size of the two removable terms, nats/token at N = 1 and D = 1.
        alpha, beta: how fast each term falls, dimensionless.

    Returns:
        Loss in nats/token, in the broadcast shape of N and D.

    Source:
        Hoffmann et al. 2022, arXiv:2203.15556, equation 2 (approach 3).
    """
    return E + A / N**alpha + B / D**beta


def power_mean(
    N: Count, D: Count, *, E: Nats, A: Scale, B: Scale, alpha: Exponent, beta: Exponent, q: Sharpness
) -> NDArray:
    """Loss when size and data limit together, from additive to whichever is scarcer.

        L(N, D) = E + [ (A / N^alpha)^q + (B / D^beta)^q ]^(1/q)

    q = 1 is `chinchilla`; q → ∞ is E + max(A / N^alpha, B / D^beta). An additive fit to a world with q of about 3
    misses the loss by a few percent and the exponents by factors.

    Args:
        N, D, E, A, B, alpha, beta: as in `chinchilla`.
        q: sharpness of the passage from one limit to the other, dimensionless.

    Returns:
        Loss in nats/token, in the broadcast shape of N and D.

    Source:
        The generalised (power) mean of the two terms of Hoffmann et al. 2022, arXiv:2203.15556, equation 2. With
        E = 0, q = alpha_D^-1 = beta^-1 it is Kaplan et al. 2020, arXiv:2001.08361, equation 1.5.
    """
    return E + ((A / N**alpha) ** q + (B / D**beta) ** q) ** (1.0 / q)


def overtraining(C: Count, M: Count, *, E: Nats, a: Scale, b: Scale, eta: Exponent) -> NDArray:
    """Loss in compute and in tokens per parameter, for models trained far beyond the compute-optimal point.

        L(C, M) = E + (a M^eta + b M^(-eta)) C^(-eta)

    With C = 6ND it is `chinchilla` with alpha = beta = 2 eta, A = a 6^(-eta) and B = b 6^(-eta): at equal M the
    reducible loss falls with the same exponent, however far a model is trained.

    Args:
        C: training FLOPs. Float array of any shape, broadcast against M.
        M: tokens per parameter, D / N.
        E: loss that compute does not remove, nats/token.
        a, b: size of the terms of model and of data, nats/token at C = 1 and M = 1.
        eta: dimensionless.

    Returns:
        Loss in nats/token, in the broadcast shape of C and M.

    Source:
        Gadre et al. 2024, arXiv:2403.08540, equation 4.
    """
    return E + (a * M**eta + b / M**eta) / C**eta


HOFFMANN_2022 = partial(chinchilla, E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28)
"""The constants as printed: Hoffmann et al. 2022, arXiv:2203.15556, equation 10."""

BESIROGLU_2024 = partial(chinchilla, E=1.81686, A=482.006, B=2085.434, alpha=0.34781, beta=0.36585)
"""The same law refitted to the points of the original figure: Besiroglu et al. 2024, arXiv:2404.10102, table 1."""

KAPLAN_2020 = partial(kaplan, N_c=8.8e13, D_c=5.4e13, alpha_N=0.076, alpha_D=0.095)
"""The constants of the separate fits in N and D: Kaplan et al. 2020, arXiv:2001.08361, equations 1.1 and 1.2."""
