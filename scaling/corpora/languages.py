"""Synthetic languages whose optimal loss is known exactly, for the very window that a model sees.

A language is a finite automaton with probabilities. In state s it writes token x with probability p(x | s) and goes to
the state that s and x determine. A reader who sees a window does not know the state in which it starts, only how often
the language is in each; the optimal prediction follows from what the tokens so far say about the state:

    b_0(s) = stationary(s)
    p(x_t | x_<t) = sum_s b_t(s) p(x_t | s)
    b_t+1(s') = sum of b_t(s) p(x_t | s) over the states s that x_t takes to s', divided by p(x_t | x_<t)

That is the forward algorithm over all states, so the loss of the best possible model on a window is a number and not
an estimate. It is at least the entropy rate, and above it for as long as the state is in doubt.

    markov       each token drawn from a distribution that the last `order` tokens choose
    nested       phrases inside phrases, Dyck-like: brackets of several kinds, closed in order, with words between them
    associative  pairs of a key and the value that goes with it, the keys by Zipf's law
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.kinds import Parameters, make
from scaling.errors import BadValue

GENERATOR = "1"
"""Raised when the same parameters come to write another text, so that old caches and new ones are never mixed."""
MOST_CELLS = 1 << 21
"""States × tokens that a language may have: 16 MiB of probabilities."""
MOST_TOKENS = 1 << 16
"""Tokens are stored in two bytes."""
_CHUNK_CELLS = 1 << 21
_SETTLED = 1e-15


@dataclass(frozen=True, eq=False)
class Language:
    """A source of tokens; its probabilities, and what follows from them."""

    probability: NDArray[np.float64]
    """p(x | s), `[states, vocabulary]`; rows add up to one."""
    successor: NDArray[np.int32]
    """State after token x in state s, `[states, vocabulary]`; of no meaning where p is zero."""
    stationary: NDArray[np.float64]
    """How often the language is in each state, `[states]`; a window starts in one of them so drawn."""
    memory: int | None = None
    """Tokens of a window after which its state is certain; None where that may take any number."""

    @property
    def vocabulary(self) -> int:
        """Distinct tokens."""
        return self.probability.shape[1]

    @cached_property
    def entropy_rate(self) -> float:
        """Loss of a perfect model that has read from the beginning, nats/token: sum_s stationary(s) H(p(. | s))."""
        return float(self.stationary @ _entropies(self.probability))

    def sample(self, tokens: int, seed: int | Sequence[int]) -> NDArray[np.uint16]:
        """Text that starts in a stationary state; a longer one of the same seed begins with the shorter one.

        Args:
            tokens: length of the text.
            seed: of this text; the language itself has its own.

        Returns:
            Tokens, `[tokens]`; about two million are written in a second.
        """
        generator = np.random.default_rng(seed)
        rows, after = self._cumulative, self._successor_lists
        state = bisect_right(_cumulate(self.stationary).tolist(), generator.random())
        text = np.empty(tokens, np.uint16)
        for start in range(0, tokens, 1 << 16):
            written = []
            for draw in generator.random(min(1 << 16, tokens - start)).tolist():
                token = bisect_right(rows[state], draw)
                written.append(token)
                state = after[state][token]
            text[start : start + len(written)] = written
        return text

    def token_losses(self, windows: NDArray[np.integer]) -> NDArray[np.float64]:
        """-log p(x_t | x_0 ... x_t-1) of every token of each window, the first too, nats.

        Args:
            windows: tokens `[windows, length]`.

        Returns:
            `[windows, length]`; infinite from the first token on that this language never writes there.
        """
        losses = np.empty(windows.shape)
        chunk = max(1, _CHUNK_CELLS // len(self.stationary))
        for start in range(0, len(windows), chunk):
            losses[start : start + chunk] = self._filter(windows[start : start + chunk])
        return losses

    def window_losses(self, windows: NDArray[np.integer]) -> NDArray[np.float64]:
        """Loss of the best possible model on windows cut as the trainer cuts them, nats.

        Args:
            windows: tokens `[windows, T + 1]`, as from `held_out_windows`; the first is given and not predicted.

        Returns:
            -log p(x_t | x_0 ... x_t-1) for t = 1 ... T, `[windows, T]`; its mean over T is what a model's mean loss on
            the same window can be compared with.
        """
        return self.token_losses(windows)[:, 1:]

    def block_entropy(self, tokens: int) -> float | None:
        """Expected loss of the best model on a block, every token counted, the first too: H_T / T, nats/token.

        H_T = H_m + (T - m) · rate once m tokens fix the state; None where no such m exists, as in `nested`.
        """
        if self.memory is None:
            return None
        settled = min(self.memory, tokens)
        return (self._enumerated(settled) + (tokens - settled) * self.entropy_rate) / tokens

    def window_entropy(self, context: int) -> float | None:
        """Expectation of `window_losses`: (H_T+1 - H_1) / T, nats/token; None where it has no closed form."""
        whole, first = self.block_entropy(context + 1), self.block_entropy(1)
        return None if whole is None or first is None else ((context + 1) * whole - first) / context

    # --- inside ------------------------------------------------------------------------------------

    @cached_property
    def _by_token(self) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        """Probability and successor with a token's states side by side, `[vocabulary, states]`."""
        return np.ascontiguousarray(self.probability.T), np.ascontiguousarray(self.successor.T)

    @cached_property
    def _cumulative(self) -> list[list[float]]:
        return _cumulate(self.probability).tolist()

    @cached_property
    def _successor_lists(self) -> list[list[int]]:
        return self.successor.tolist()

    def _filter(self, windows: NDArray[np.integer]) -> NDArray[np.float64]:
        count, length = windows.shape
        probability, successor = self._by_token
        offset = np.arange(count)[:, None] * len(self.stationary)
        belief = np.tile(self.stationary, (count, 1))
        chance = np.empty((count, length))
        doubtful = length if self.memory is None else min(self.memory, length)
        known = windows < self.vocabulary
        tokens = np.where(known, windows, 0)
        for t in range(doubtful):
            joint = belief * probability[tokens[:, t]] * known[:, t, None]
            chance[:, t] = joint.sum(1)
            joint /= np.where(chance[:, t] > 0, chance[:, t], 1)[:, None]
            states = (successor[tokens[:, t]] + offset).ravel()
            belief = np.bincount(states, joint.ravel(), belief.size).reshape(belief.shape)
        state, possible = belief.argmax(1), belief.any(1)
        for t in range(doubtful, length):  # one state is left, and its successor follows from the token
            possible &= known[:, t]
            chance[:, t] = self.probability[state, tokens[:, t]] * possible
            possible &= chance[:, t] > 0
            state = self.successor[state, tokens[:, t]]
        with np.errstate(divide="ignore"):
            return -np.log(chance)

    def _enumerated(self, tokens: int) -> float:
        """H of a short block, by summing over every block there is."""
        blocks = np.indices((self.vocabulary,) * tokens).reshape(tokens, -1).T
        surprise = self.token_losses(blocks).sum(1)
        possible = np.isfinite(surprise)
        return float(np.exp(-surprise[possible]) @ surprise[possible])


def markov(*, states: int = 64, order: int = 1, concentration: float = 0.1, seed: int = 0) -> Language:
    """Text in which the last `order` tokens choose the distribution of the next.

        p(. | a) ~ Dirichlet(concentration, ..., concentration), one draw for every a = (x_t-order, ..., x_t-1)

    A small concentration makes few successors likely. With order 1 the given first token of a window fixes the state,
    so the window's entropy is the rate; where the first token is predicted too, it is above it by (H_1 - rate) / T.

    Args:
        states: distinct tokens.
        order: tokens that choose.
        concentration: of the Dirichlet distribution, above 0.
        seed: of the transition probabilities.
    """
    _check("states", states, states >= 2, "at least 2")
    _check("order", order, 1 <= order <= 16, "from 1 to 16")
    _check("concentration", concentration, concentration > 0, "above 0")
    _check_cells("states", states, states**order, states)
    generator = np.random.default_rng([0, seed])
    probability = generator.dirichlet(np.full(states, concentration), states**order)
    last = np.arange(states**order)[:, None] * states + np.arange(states)
    successor = (last % states**order).astype(np.int32)
    return Language(probability, successor, _settle(probability, successor), memory=order)


def nested(
    *,
    kinds: int = 4,
    words: int = 48,
    depth: int = 5,
    opening: float = 0.15,
    closing: float = 0.15,
    exponent: float = 1.0,
    seed: int = 0,
) -> Language:
    """Phrases inside phrases, a probabilistic grammar with a stack of bounded depth.

        phrase_i -> open_i item* close_i        item -> word | phrase_j

    Inside a phrase of kind i the next token closes it with probability `closing`, opens one of kind j with probability
    `opening` · q_i(j), and is else a word from Zipf's law in an order that is the kind's own. At the outermost level
    nothing can be closed and at `depth` nothing opened; words take that share. A window starts somewhere inside, so
    the best reader infers the phrases around it from the words and learns each for certain when it is closed.

    Args:
        kinds: kinds of phrase; each has an opening and a closing token.
        words: distinct words, shared by all kinds.
        depth: phrases that can be open at once.
        opening, closing: probabilities, each above 0 and together below 1.
        exponent: of Zipf's law, at least 0.
        seed: of q and of the orders of the words.
    """
    _check("kinds", kinds, kinds >= 1, "at least 1")
    _check("words", words, words >= 1, "at least 1")
    _check("depth", depth, 1 <= depth <= 32, "from 1 to 32")
    _check("opening", opening, opening > 0, "above 0")
    _check("closing", closing, closing > 0, "above 0")
    _check("opening + closing", opening + closing, opening + closing < 1, "below 1")
    _check("exponent", exponent, exponent >= 0, "at least 0")
    vocabulary = words + 2 * kinds
    level_sizes = [kinds**level for level in range(depth + 1)]
    _check_cells("kinds ** depth", level_sizes[-1], sum(level_sizes), vocabulary)
    generator = np.random.default_rng([1, seed])
    prefers = generator.dirichlet(
        np.ones(kinds), kinds + 1
    )  # row and order `kinds` are the outermost level's
    said = np.stack([_zipf(words, exponent)[generator.permutation(words)] for _ in range(kinds + 1)])

    first_of = np.cumsum([0, *level_sizes])
    level = np.repeat(np.arange(depth + 1), level_sizes)
    place = np.arange(len(level)) - first_of[level]  # the open phrases' kinds as digits, the innermost last
    kind = np.where(level > 0, place % kinds, kinds)
    opens = np.where(level < depth, opening, 0.0)[:, None] * prefers[kind]
    closes = np.where(level > 0, closing, 0.0)
    probability = np.zeros((len(level), vocabulary))
    probability[:, :words] = said[kind] * (1 - opens.sum(1) - closes)[:, None]
    probability[:, words : words + kinds] = opens
    inside = np.flatnonzero(level)
    probability[inside, words + kinds + kind[inside]] = closes[inside]

    outer = np.where(level > 0, first_of[level - 1] + place // kinds, 0)
    successor = np.repeat(np.arange(len(level), dtype=np.int32)[:, None], vocabulary, axis=1)
    successor[outer[inside], words + kind[inside]] = inside
    successor[inside, words + kinds + kind[inside]] = outer[inside]

    stationary = np.ones(len(level))  # up a tree and down again: in balance over every edge
    for state in inside:  # parents come first
        stationary[state] = stationary[outer[state]] * opens[outer[state], kind[state]] / closing
    return Language(probability, successor, stationary / stationary.sum())


def associative(
    *, keys: int = 512, values: int = 256, exponent: float = 1.5, noise: float = 0.1, seed: int = 0
) -> Language:
    """Pairs of a key and its value, key after value after key: what a model knows is a table learned by heart.

        p(key i) ∝ i^-exponent        p(value | key) = 1 - noise for the key's own value, noise spread evenly over all

    Keys and values are different tokens, so a window's state is certain after its first. For a model that can hold
    all, loss above entropy falls with data as D^-(1 - 1/exponent); for one that has seen all, with size as
    N^-(exponent - 1); both as long as the rarest key is out of reach.

    Args:
        keys, values: distinct tokens of either.
        exponent: of Zipf's law, above 0.
        noise: probability that a value is drawn evenly instead, from 0 to 1.
        seed: of the table.

    Source:
        Hutter 2021, arXiv:2102.04074, and Cabannes et al. 2023, arXiv:2310.02984, for the exponents.
    """
    _check("keys", keys, keys >= 1, "at least 1")
    _check("values", values, values >= 1, "at least 1")
    _check("exponent", exponent, exponent > 0, "above 0")
    _check("noise", noise, 0 <= noise <= 1, "from 0 to 1")
    _check_cells("keys", keys, keys + 1, keys + values)
    own = np.random.default_rng([2, seed]).integers(values, size=keys)
    probability = np.zeros((keys + 1, keys + values))  # state 0 writes a key, state 1 + i the value of key i
    probability[0, :keys] = _zipf(keys, exponent)
    probability[1:, keys:] = noise / values
    probability[1 + np.arange(keys), keys + own] += 1 - noise
    successor = np.zeros(probability.shape, np.int32)
    successor[0, :keys] = 1 + np.arange(keys)
    stationary = np.concatenate([[1.0], probability[0, :keys]]) / 2
    return Language(probability, successor, stationary, memory=1)


KINDS: Mapping[str, Callable[..., Language]] = {
    "markov": markov,
    "nested": nested,
    "associative": associative,
}


@lru_cache(maxsize=16)
def language(kind: str, parameters: Parameters = ()) -> Language:
    """The language of a kind in `KINDS`; parameters that are not given have their defaults.

    Raises:
        BadValue: there is no such kind, or a parameter is of the wrong type or out of range.
        UnknownKey: the kind has no such parameter.
    """
    return make(KINDS, "language", kind, parameters)


def blend_losses(
    languages: Mapping[str, Language], blend: Mapping[str, float], windows: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Loss of the best possible model of a blend, which is not told the language that a window is in, nats.

        p(x_t | x_<t) = sum_d share_d p_d(x_0 ... x_t) / sum_d share_d p_d(x_0 ... x_t-1)

    For a single language this is its `window_losses`; languages that share tokens cost what it takes to tell them
    apart, at most log(1 / share) over a whole window.

    Args:
        languages, blend: by name; the blend's shares add up to one.
        windows: tokens `[windows, T + 1]`.

    Returns:
        `[windows, T]`; infinite where no language of the blend could have written the token.
    """
    shares = {name: share for name, share in blend.items() if share > 0}
    if len(shares) == 1:
        return languages[next(iter(shares))].window_losses(windows)
    joint = np.full(windows.shape, -np.inf)
    for name, share in shares.items():
        joint = np.logaddexp(joint, np.log(share) - languages[name].token_losses(windows).cumsum(1))
    possible = np.isfinite(joint)
    before = np.where(possible, joint, 0)[:, :-1]
    return np.where(possible[:, 1:], before - np.where(possible, joint, 0)[:, 1:], np.inf)


def _settle(probability: NDArray[np.float64], successor: NDArray[np.int32]) -> NDArray[np.float64]:
    """The distribution over states that a step leaves as it is, by steps that half the time stay (no cycle lasts)."""
    share = np.full(len(probability), 1 / len(probability))
    for _ in range(100_000):
        moved = np.bincount(successor.ravel(), (share[:, None] * probability).ravel(), len(share))
        change = np.abs(moved - share).max()
        share = (share + moved) / 2
        if change < _SETTLED * share.max():
            return share / share.sum()
    raise BadValue(
        "language", "concentration", "so small", "larger: from such rows some states are never left"
    )


def _zipf(count: int, exponent: float) -> NDArray[np.float64]:
    weights = np.arange(1, count + 1) ** -float(exponent)
    return weights / weights.sum()


def _entropies(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    logs = np.log(rows, out=np.zeros_like(rows), where=rows > 0)
    return -(rows * logs).sum(-1)


def _cumulate(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Running sums that reach one exactly at the last token that can come."""
    sums = rows.cumsum(-1)
    return sums / sums[..., -1:]


def _check(key: str, given: object, holds: bool, wanted: str) -> None:
    if not holds:
        raise BadValue("language", key, given, wanted)


def _check_cells(key: str, given: object, states: int, vocabulary: int) -> None:
    wanted = f"smaller: {states:,} states of {vocabulary:,} tokens are more than {MOST_CELLS:,} probabilities"
    _check(key, given, states * vocabulary <= MOST_CELLS, wanted)
    wanted = f"smaller: {vocabulary:,} tokens are more than {MOST_TOKENS:,}"
    _check(key, given, vocabulary <= MOST_TOKENS, wanted)
