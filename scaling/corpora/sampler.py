"""Which tokens a model sees at which step: a pure function of the seed and the step, with exact counts.

The training text of each domain is cut into windows that do not overlap. A domain's windows come in a random order
without repeats; when all have been seen, its next epoch begins in a new order. The windows of a step are dealt to the
domains so that after any number of them each domain is less than one window from its share.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.corpus import Corpus
from scaling.errors import BadValue, CorpusError, StudyError


class BudgetBeyondCorpus(StudyError):
    """A token budget larger than the tokens on offer, with no epochs allowed."""

    domain: str
    asked: int
    available: int
    max_epochs: float

    def __str__(self) -> str:
        return (
            f"the study asks for {self.asked:,} tokens of {self.domain!r}, but {self.available:,} distinct ones are on "
            f"offer and max_epochs is {self.max_epochs:g}. Lower the budget, or allow repeats with max_epochs = "
            f"{-(-self.asked // self.available)}."
        )


class UniqueBeyondCorpus(CorpusError):
    """A domain that has not as much distinct text as a study asks to see of it."""

    domain: str
    asked: int
    available: int

    def __str__(self) -> str:
        return (
            f"asked for {self.asked:,} distinct tokens of {self.domain!r}, but the corpus has {self.available:,} "
            f"in whole windows. Ask for no more, or add text of it."
        )


class EmptyDomain(CorpusError):
    """A domain with too little text to train or to test on."""

    domain: str
    split: str
    available: int
    needed: int

    def __str__(self) -> str:
        return (
            f"asked for {self.needed:,} tokens of {self.domain!r} ({self.split}), but the corpus has "
            f"{self.available:,}. Add files to the corpus, or take the domain out of the blend."
        )


_SUBSET_STREAM = 2**32 - 1
"""Epoch number set aside for choosing which windows a unique-token budget keeps."""


@dataclass(frozen=True)
class Sampler:
    """Batches of one run.

    Raises:
        BadValue: the shares of the blend do not add up to one, or a unique budget leaves a domain no window.
        UnknownDomain: the corpus has no text of a domain that is named.
        UniqueBeyondCorpus: a domain of the blend has less distinct text than `unique` asks for.
        EmptyDomain: a domain of the blend has no window of training or of held-out text.
    """

    corpus: Corpus
    blend: Mapping[str, float]
    """Share of the training tokens that each domain gets."""
    context: int
    windows_per_step: int
    seed: int
    unique_budget: int | None = None
    """Distinct tokens that may be seen, shared out by the blend; None is all there are."""
    unique: Mapping[str, int] = field(default_factory=dict)
    """The same of some domains, whatever their share. A seed keeps the same windows of such a domain, in the same
    order, in every blend, so that runs that differ in the rest of the blend are a pair."""
    member: int = 0
    """Another order of the same windows."""
    _tokens: dict[str, NDArray[np.unsignedinteger]] = field(default_factory=dict, repr=False, compare=False)
    _orders: dict[tuple[str, bool], tuple[int, NDArray[np.int64]]] = field(
        default_factory=dict, repr=False, compare=False
    )
    """Of each domain the order of the epoch under way, and which windows a unique budget keeps."""
    _dealt: list[NDArray[np.int64]] = field(default_factory=list, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not np.isclose(sum(self.blend.values()), 1) or min(self.blend.values()) < 0:
            raise BadValue("corpus", "blend", dict(self.blend), "shares of at least 0 that add up to 1")
        for domain in self.domains:
            self._tokens[domain] = self.corpus.tokens(domain)
            if self._windows_on_disk(domain) < 1:
                raise EmptyDomain(domain, "train", len(self._tokens[domain]), self.context + 1)
            if domain in self.unique and self.unique[domain] // self.context > self._windows_on_disk(domain):
                on_disk = self._windows_on_disk(domain) * self.context
                raise UniqueBeyondCorpus(domain, self.unique[domain], on_disk)
            if self.windows(domain) < 1:
                share = self.blend[domain]
                wanted = (
                    f"at least {math.ceil(self.context / share):,}, so that {domain!r} with its share of {share:g} "
                    f"gets a window of {self.context:,} tokens"
                )
                raise BadValue("study", "unique_budget", self.unique_budget, wanted)
            held_out = len(self.corpus.tokens(domain, "heldout"))
            if held_out <= self.context:
                raise EmptyDomain(domain, "heldout", held_out, self.context + 1)
        for domain in self.unique:
            self.corpus.check_domain(domain)

    @property
    def domains(self) -> tuple[str, ...]:
        """Domains with a share, in the order in which ties are dealt."""
        return tuple(d for d, share in self.blend.items() if share > 0)

    def windows(self, domain: str) -> int:
        """Distinct windows of a domain that may be seen."""
        available = self._windows_on_disk(domain)
        if domain in self.unique:
            return self.unique[domain] // self.context
        if self.unique_budget is None:
            return available
        return min(available, round(self.unique_budget * self.blend[domain] / self.context))

    def batch(self, step: int) -> NDArray[np.int64]:
        """Tokens of one step, `[windows_per_step, context + 1]`; the last column is only a target."""
        sources, starts = self.places(step, 1)
        rows = np.empty((self.windows_per_step, self.context + 1), np.int64)
        for source, domain in enumerate(self.domains):
            mine = sources[0] == source
            rows[mine] = self._tokens[domain][starts[0, mine, None] + np.arange(self.context + 1)]
        return rows

    def places(self, step: int, steps: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """From where the windows of some steps are read: the number of each one's domain, and its first token there.

        Both are `[steps, windows_per_step]`; domains are numbered as in `domains`.
        """
        first, last = step * self.windows_per_step, (step + steps) * self.windows_per_step
        sources, draws = self._deal(last)[first:last].T
        starts = np.empty(last - first, np.int64)
        for source, domain in enumerate(self.domains):
            mine = np.flatnonzero(sources == source)
            starts[mine] = self._windows(domain, draws[mine]) * self.context
        return sources.reshape(steps, -1), starts.reshape(steps, -1)

    def unique_tokens(self, steps: int) -> int:
        """Distinct tokens seen in that many steps."""
        return sum(self.domain_unique(steps).values())

    def domain_unique(self, steps: int) -> dict[str, int]:
        """Distinct tokens of each domain seen in that many steps."""
        return {d: min(draws, self.windows(d)) * self.context for d, draws in self._draws(steps).items()}

    def domain_epochs(self, steps: int) -> dict[str, float]:
        """Epochs of each domain in that many steps: draws over the distinct windows among them."""
        return {d: max(draws / self.windows(d), float(draws > 0)) for d, draws in self._draws(steps).items()}

    def seen(self, domain: str, steps: int) -> NDArray[np.int64]:
        """The windows of a domain that are seen in that many steps, each once, in the order of their first time."""
        draws = self._draws(steps).get(domain, 0)
        return self._windows(domain, np.arange(min(draws, self.windows(domain)))) if draws else np.arange(0)

    def check_budget(self, steps: int, max_epochs: float) -> None:
        """Refuse a budget that would repeat a domain more often than allowed.

        Raises:
            BudgetBeyondCorpus: names the domain, the tokens asked for and the tokens on offer.
        """
        for domain in self.domains:
            windows = self.blend[domain] * steps * self.windows_per_step
            draws = round(windows)  # no deal: the budget may be absurd
            available = self.windows(domain)
            if draws > max_epochs * available:
                raise BudgetBeyondCorpus(domain, draws * self.context, available * self.context, max_epochs)

    def _draws(self, steps: int) -> dict[str, int]:
        deal = self._deal(steps * self.windows_per_step)
        counts = np.bincount(deal[: steps * self.windows_per_step, 0], minlength=len(self.domains))
        return dict(zip(self.domains, counts.tolist(), strict=True))

    def _windows_on_disk(self, domain: str) -> int:
        return max(0, (len(self._tokens[domain]) - 1) // self.context)

    def _windows(self, domain: str, draws: NDArray[np.int64]) -> NDArray[np.int64]:
        """The window that each of a domain's draws gives, by the number of the draw; draws come in rising order."""
        count, on_disk = self.windows(domain), self._windows_on_disk(domain)
        windows = np.empty(len(draws), np.int64)
        for epoch in np.unique(draws // count).tolist():
            mine = draws // count == epoch
            windows[mine] = self._order(domain, epoch, count, self.member)[draws[mine] % count]
        return windows if count == on_disk else self._order(domain, _SUBSET_STREAM, on_disk)[windows]

    def _order(self, domain: str, epoch: int, count: int, member: int = 0) -> NDArray[np.int64]:
        key = (domain, epoch == _SUBSET_STREAM)
        if key not in self._orders or self._orders[key][0] != epoch:
            which = zlib.crc32(domain.encode()) if domain in self.unique else self.domains.index(domain)
            entropy = [self.seed, which, epoch, *([member] if member else [])]
            self._orders[key] = epoch, np.random.default_rng(entropy).permutation(count)
        return self._orders[key][1]

    def _deal(self, windows: int) -> NDArray[np.int64]:
        """The deal for at least that many windows, in doubling lengths so that steps do not pay for it anew."""
        if not self._dealt or len(self._dealt[0]) < windows:
            length = 1 << max(12, (windows - 1).bit_length())
            self._dealt[:] = [_deal_of_length(tuple(self.blend[d] for d in self.domains), length)]
        return self._dealt[0]


def held_out_windows(
    corpus: Corpus, domain: str, context: int, count: int, split: str = "heldout"
) -> NDArray[np.int64]:
    """Fixed windows of held-out text, or of another split, spread evenly over it, `[≤ count, context + 1]`.

    Raises:
        EmptyDomain: the held-out text is shorter than one window.
    """
    tokens = corpus.tokens(domain, split)
    available = (len(tokens) - 1) // context
    if available < 1:
        raise EmptyDomain(domain, split, len(tokens), context + 1)
    chosen = np.linspace(0, available - 1, min(count, available)).round().astype(int)
    return np.stack([tokens[i * context : i * context + context + 1] for i in chosen]).astype(np.int64)


def deal_windows(shares: tuple[float, ...], windows: int) -> NDArray[np.int64]:
    """For each window: which domain it goes to, and the how-many-eth of that domain it is; `[windows, 2]`.

    Of the domains that are behind their share, by 1 / (2 k - 2) windows or more where there are k, the next goes to the
    one that would be too far behind the soonest. So after any number of windows each domain is within
    1 - 1 / (2 k - 2) windows of share × windows: half a window for two domains, less than one for any number of them.
    To serve the one that is furthest behind is the same for two, and can be more than one window off for many.

    Source:
        Tijdeman 1980, The chairman assignment problem, Discrete Mathematics 32, 323-330.
    """
    margin = 0.5 / max(len(shares) - 1, 1)
    counts = [0] * len(shares)
    deal = np.empty((windows, 2), np.int64)
    for window in range(windows):
        behind = [share * (window + 1) - count for share, count in zip(shares, counts, strict=True)]
        least = min(margin, max(behind))  # rounding may leave the furthest a hair short of the margin
        left = [(1 - margin - b) / s if b >= least else np.inf for b, s in zip(behind, shares, strict=True)]
        source = left.index(min(left))
        deal[window] = source, counts[source]
        counts[source] += 1
    return deal


@lru_cache(maxsize=32)
def _deal_of_length(shares: tuple[float, ...], windows: int) -> NDArray[np.int64]:
    return deal_windows(shares, windows)
