"""The parts of a trunk beside its model: which data, which optimiser, which schedule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from scaling.errors import require

COOLDOWNS = ("linear", "1-sqrt", "cosine")
OPTIMIZERS = ("adamw", "muon")
Tokens = Annotated[int, "tokens"]
"""A count that a study file may write as "512", "128Ki" or "4M"."""
Blend = tuple[tuple[str, float], ...]
"""Share of each domain in the training tokens."""
Budgets = tuple[tuple[str, Tokens], ...]
"""A count of tokens for each of some domains."""


@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """Which tokens a model is trained on.

    Raises:
        BadValue: a value is out of range.
    """

    unique_budget: Tokens | None = None
    """Distinct tokens that may be seen; nothing in TOML, or "all", is the whole corpus."""
    unique: Budgets = ()
    """The same of some domains, each on its own; the others share `unique_budget` by the blend."""
    max_epochs: float = 1.0
    """How often a domain's tokens may be seen at the most."""
    blend: Blend = (("code", 0.5), ("prose", 0.5))

    def __post_init__(self) -> None:
        shares = dict(self.blend).values()
        even = abs(sum(shares) - 1) < 1e-9 and min(shares, default=-1) >= 0
        counted = min(dict(self.unique).values(), default=1) > 0
        require(
            self,
            "data",
            unique=(counted, "at least one token of each domain that it names"),
            max_epochs=(self.max_epochs >= 1, "at least 1"),
            blend=(even, "shares of at least 0 that add up to 1"),
        )


@dataclass(frozen=True, kw_only=True)
class OptimSpec:
    """How a gradient becomes a step.

    Raises:
        BadValue: a value is out of range.
    """

    optimizer: str = "adamw"
    """Of the matrices inside the blocks, "adamw" or "muon"; embedding and head always take AdamW."""
    peak_lr: float = 0.004
    """Learning rate of the matrices at `train.model.BASE_WIDTH`; each matrix has its multiplier."""
    weight_decay: float = 0.0
    """Pull of each step towards zero, as a share of the rate (decoupled)."""
    decay_half_life: Tokens | None = None
    """The same by tokens, whatever rate, width and batch: at the peak rate weights alone would halve over so
    many; less as the rate is let down. None is no such pull."""
    beta2_half_life: Tokens = 16_384
    """Tokens after which a squared gradient counts half in Adam's second moment."""

    def __post_init__(self) -> None:
        half_life = self.decay_half_life
        require(
            self,
            "optimiser",
            optimizer=(self.optimizer in OPTIMIZERS, " or ".join(OPTIMIZERS)),
            peak_lr=(self.peak_lr > 0, "above 0"),
            weight_decay=(self.weight_decay >= 0, "at least 0"),
            beta2_half_life=(self.beta2_half_life > 0, "above 0"),
            decay_half_life=(half_life is None or half_life > 0, "above 0"),
        )
        one = half_life is None or self.weight_decay == 0
        words = "left out, or weight_decay be 0: each is a decay of its own"
        require(self, "optimiser", decay_half_life=(one, words))

    def beta2(self, tokens_per_step: int) -> float:
        """Adam's second-moment decay for each step: half after `beta2_half_life` tokens."""
        return 0.5 ** (tokens_per_step / self.beta2_half_life)

    def shrinkage(self, tokens_per_step: int) -> float:
        """Share of the weights that a step at the peak rate takes off, by `decay_half_life`."""
        half_life = self.decay_half_life
        return 1 - 0.5 ** (tokens_per_step / half_life) if half_life else 0.0


@dataclass(frozen=True, kw_only=True)
class ScheduleSpec:
    """When a trunk's rate rises, where budgets branch from it, and how their rate falls: warm-up, stable, decay (WSD).

    Raises:
        BadValue: a value is out of range.
    """

    budgets: tuple[Tokens, ...] = ()
    """Tokens at which a cooled-down branch ends; at least one."""
    tokens_per_step: Tokens = 512
    warmup_tokens: Tokens = 65_536
    cooldown: float = 0.2
    """Share of a budget over which the rate falls to zero. With 1 every budget is a run of its own, and "cosine" is
    then the plain cosine schedule."""
    cooldown_shape: str = "1-sqrt"
    average_gamma: float = 0.0
    """Power of the trunk's running average of weights, measured where the trunk passes a budget; 0 is none."""

    def __post_init__(self) -> None:
        enough = min(self.budgets, default=0) >= self.tokens_per_step
        require(self, "schedule", budgets=(bool(self.budgets), "at least one token count"))
        require(
            self,
            "schedule",
            budgets=(enough, "at least one step of tokens_per_step"),
            tokens_per_step=(self.tokens_per_step > 0, "above 0"),
            warmup_tokens=(self.warmup_tokens >= 0, "at least 0"),
            cooldown=(0 < self.cooldown <= 1, "above 0 and at most 1"),
            cooldown_shape=(self.cooldown_shape in COOLDOWNS, " or ".join(COOLDOWNS)),
            average_gamma=(self.average_gamma >= 0, "at least 0"),
        )

    @property
    def warmup_steps(self) -> int:
        """Steps over which the rate rises."""
        return self.warmup_tokens // self.tokens_per_step

    def steps(self, budget: int) -> int:
        """Whole steps that a budget pays for."""
        return budget // self.tokens_per_step

    def branch_step(self, budget: int) -> int:
        """The trunk's step from which a budget's cooldown starts."""
        return self.steps(budget) - max(1, round(self.cooldown * self.steps(budget)))

    @property
    def last_step(self) -> int:
        """The trunk's own last step, from which its largest budget branches."""
        return max(map(self.branch_step, self.budgets))

    def averages(self) -> tuple[int, ...]:
        """Budgets that the trunk itself passes, and at which its average is measured."""
        return tuple(b for b in self.budgets if self.average_gamma and self.steps(b) <= self.last_step)
