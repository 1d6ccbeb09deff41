"""What a blend of domains does to the loss on one of them, and what one domain is worth for another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.laws.base import Count, Exponent, Nats, NotALaw, Scale, Share, Signed, declared, made_once


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
    name = f"mixing({', '.join(domains)})"
    if not domains or not all(d.isidentifier() for d in domains):
        raise NotALaw(name, "its domains must be names of columns, at least one")

    def law(*shares: Any, E: Any, k: Any, **helps: Any) -> Any:
        exponent = helps[f"t_{domains[0]}"] * shares[0]
        for domain, share in zip(domains[1:], shares[1:], strict=True):
            exponent = exponent + helps[f"t_{domain}"] * share
        return E + k * np.exp(exponent)

    kinds = {"E": Nats, "k": Scale} | {f"t_{d}": Signed for d in domains}
    return declared(law, name, mixing.__doc__, dict.fromkeys(domains, Share), kinds)


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
