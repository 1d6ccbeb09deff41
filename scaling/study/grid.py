"""A study file: what is asked of a sweep, read from TOML, checked before anything runs. No torch.

    question = "How does loss fall with compute?"
    notebook = "quickstart"              # the report's notebook, a stem under notebooks/

    [corpus]
    source = "installed"                 # or "folder", "files", "jsonl", "parquet", "huggingface", "language"
    packages = ["numpy", "scipy"]        # each source has its keys, see `corpora.source.CorpusSource`
    blend = { code = 0.5, prose = 0.5 }  # share of each domain in the training tokens

    [defaults]                           # any key of `Trunk`; counts may be written "512", "128Ki" or "4M"
    budgets = ["128Ki", "1Mi"]
    peak_lr = { 16 = 0.02, 32 = 0.015 }  # one number, or one for each width

    [[grid]]                             # a list stands for every value in it; lists multiply
    width = [16, 32]
    seed = [0, 1]

A grid is a set of trunks, each trained once at a constant rate; every budget branches from its trunk and is cooled to
zero. `budgets` is therefore the one key whose list does not multiply. In place of `width` a grid may give `N`, weights
inside the blocks, as in N = ["1M", "124M"]: width and depth are then those of `flops.ladder`.
"""

from __future__ import annotations

import difflib
import hashlib
import itertools
import json
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from scaling.corpora.corpus import Corpus
from scaling.corpora.sampler import Sampler
from scaling.corpora.source import BYTES, CorpusSource, LanguageSource
from scaling.corpora.text import build_corpus
from scaling.errors import BadValue, CorpusError, StudyError, UnknownKey
from scaling.flops import Shape, ladder
from scaling.records import MissingRuns
from scaling.units import UnknownUnit, parse_count, print_count


class NotToml(StudyError):
    """A study file that is not TOML."""

    path: str | Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path} is not a TOML file ({self.reason}). Mend that line."


class VocabularyMismatch(CorpusError):
    """A model and a corpus that do not have the same tokens."""

    model: int
    corpus: int

    def __str__(self) -> str:
        return (
            f"asked for a model of {self.model:,} tokens, but the corpus is written in {self.corpus:,}. "
            "Give vocabulary under [corpus] only, and models follow it."
        )


_COUNTS = {
    "budgets", "tokens_per_step", "warmup_tokens", "beta2_half_life", "decay_half_life", "unique_budget",
}  # fmt: skip
_WHOLE = {"width", "depth", "head_dim", "context", "seed", "member", "vocabulary"}
_WORDS = {"cooldown_shape", "activation", "optimizer"}
COOLDOWNS = ("linear", "1-sqrt", "cosine")
OPTIMIZERS = ("adamw", "muon")
_LATER = frozenset(
    {
        "average_gamma",
        "activation",
        "decay_half_life",
        "optimizer",
        "member",
        "vocabulary",
        "text_column",
        "domain_column",
        "name",
        "subset",
        "split",
        "languages",
        "train_tokens",
        "heldout_tokens",
        "paths",
    }
)
"""Keys that came after the first committed rows: at their default they are not spelled out, so old ids stay."""


@dataclass(frozen=True, kw_only=True)
class Trunk:
    """One constant-rate training run and the budgets that branch from it.

    Raises:
        BadValue: a value is out of range.
    """

    width: int
    depth: int = 2
    head_dim: int = 16
    context: int = 128
    seed: int = 0
    """Of the starting weights, the order of the windows, and which of them a unique budget keeps."""
    member: int = 0
    """Another model on the same tokens: its starting weights and order differ, the windows that are kept do not.
    Trunks that differ in nothing else are an ensemble, and the loss of their mean prediction is a row of its own."""
    budgets: tuple[int, ...] = ()
    """Tokens at which a cooled-down branch ends."""
    tokens_per_step: int = 512
    peak_lr: float = 0.004
    """Learning rate of the matrices at `train.model.BASE_WIDTH`; each matrix has its multiplier."""
    warmup_tokens: int = 65_536
    cooldown: float = 0.2
    """Share of a budget over which the rate falls to zero: warm-up, stable, decay (WSD). With 1 every budget is a
    run of its own, and "cosine" is then the plain cosine schedule."""
    cooldown_shape: str = "1-sqrt"
    weight_decay: float = 0.0
    """Pull of each step towards zero, as a share of the rate (decoupled)."""
    decay_half_life: int | None = None
    """The same by tokens, whatever rate, width and batch: at the peak rate weights alone would halve over so
    many; less as the rate is let down. None is no such pull."""
    beta2_half_life: int = 16_384
    """Tokens after which a squared gradient counts half in Adam's second moment."""
    unique_budget: int | None = None
    """Distinct tokens that may be seen; nothing in TOML, or "all", is the whole corpus."""
    max_epochs: float = 1.0
    """How often a domain's tokens may be seen at the most."""
    blend: tuple[tuple[str, float], ...] = (("code", 0.5), ("prose", 0.5))
    vocabulary: int = BYTES
    """Tokens of the corpus, which a study file gives under `[corpus]`."""
    activation: str = "relu2"
    optimizer: str = "adamw"
    """Of the matrices inside the blocks, "adamw" or "muon"; embedding and head always take AdamW."""
    average_gamma: float = 0.0
    """Power of the trunk's running average of weights, measured where the trunk passes a budget; 0 is none."""

    def __post_init__(self) -> None:
        _ = self.shape
        _check(bool(self.budgets), "budgets", self.budgets, "at least one token count")
        for budget in self.budgets:
            _check(budget >= self.tokens_per_step, "budgets", budget, "at least one step of tokens_per_step")
        _check(
            self.tokens_per_step > 0 and self.tokens_per_step % self.context == 0,
            "tokens_per_step",
            self.tokens_per_step,
            f"a positive multiple of context = {self.context}",
        )
        _check(self.peak_lr > 0, "peak_lr", self.peak_lr, "above 0")
        _check(0 < self.cooldown <= 1, "cooldown", self.cooldown, "above 0 and at most 1")
        _check(
            self.cooldown_shape in COOLDOWNS, "cooldown_shape", self.cooldown_shape, " or ".join(COOLDOWNS)
        )
        _check(self.optimizer in OPTIMIZERS, "optimizer", self.optimizer, " or ".join(OPTIMIZERS))
        _check(self.warmup_tokens >= 0, "warmup_tokens", self.warmup_tokens, "at least 0")
        _check(self.weight_decay >= 0, "weight_decay", self.weight_decay, "at least 0")
        _check(self.beta2_half_life > 0, "beta2_half_life", self.beta2_half_life, "above 0")
        half_life = self.decay_half_life
        _check(half_life is None or half_life > 0, "decay_half_life", half_life, "above 0")
        both = half_life is not None and self.weight_decay > 0
        _check(
            not both,
            "decay_half_life",
            half_life,
            "left out, or weight_decay be 0: each is a decay of its own",
        )
        _check(self.seed >= 0, "seed", self.seed, "at least 0")
        _check(self.member >= 0, "member", self.member, "at least 0")
        _check(self.average_gamma >= 0, "average_gamma", self.average_gamma, "at least 0")
        _check(self.max_epochs >= 1, "max_epochs", self.max_epochs, "at least 1")
        unique = self.unique_budget
        _check(
            unique is None or unique >= self.context, "unique_budget", unique, "at least one window, or 'all'"
        )
        shares = dict(self.blend)
        _check(
            abs(sum(shares.values()) - 1) < 1e-9 and min(shares.values(), default=-1) >= 0,
            "blend",
            shares,
            "shares of at least 0 that add up to 1",
        )

    @property
    def shape(self) -> Shape:
        """The model."""
        return Shape(
            width=self.width,
            depth=self.depth,
            head_dim=self.head_dim,
            context=self.context,
            activation=self.activation,
            vocabulary=self.vocabulary,
        )

    @property
    def weight_seed(self) -> int:
        """Of the starting weights; torch reads the lower 32 bits of a seed alone."""
        mixed = np.random.SeedSequence([self.seed, self.member]).generate_state(1)
        return int(mixed[0]) if self.member else self.seed

    @property
    def beta2(self) -> float:
        """Adam's second-moment decay for each step: half after `beta2_half_life` tokens."""
        return 0.5 ** (self.tokens_per_step / self.beta2_half_life)

    @property
    def shrinkage(self) -> float:
        """Share of the weights that a step at the peak rate takes off, by `decay_half_life`."""
        half_life = self.decay_half_life
        return 1 - 0.5 ** (self.tokens_per_step / half_life) if half_life else 0.0

    @property
    def warmup_steps(self) -> int:
        """Steps over which the rate rises."""
        return self.warmup_tokens // self.tokens_per_step

    def steps(self, budget: int) -> int:
        """Whole steps that a budget pays for."""
        return budget // self.tokens_per_step

    def sampler(self, corpus: Corpus) -> Sampler:
        """Which tokens it sees at which step.

        Raises:
            UnknownDomain, EmptyDomain: the corpus cannot give what the blend asks for.
        """
        windows = self.tokens_per_step // self.context
        return Sampler(
            corpus, dict(self.blend), self.context, windows, self.seed, self.unique_budget, self.member
        )

    def averages(self) -> tuple[int, ...]:
        """Budgets that the trunk itself passes, and at which its average is measured."""
        return tuple(b for b in self.budgets if self.average_gamma and self.steps(b) <= self.last_step)

    def branch_step(self, budget: int) -> int:
        """The trunk's step from which a budget's cooldown starts."""
        return self.steps(budget) - max(1, round(self.cooldown * self.steps(budget)))

    @property
    def last_step(self) -> int:
        """The trunk's own last step, from which its largest budget branches."""
        return max(map(self.branch_step, self.budgets))

    @property
    def stack_key(self) -> Trunk:
        """What trunks must share to be trained at once; seed, rate, decay, blend, data and budgets may differ."""
        return replace(
            self,
            budgets=(self.tokens_per_step,),
            seed=0,
            member=0,
            peak_lr=1.0,
            weight_decay=0.0,
            decay_half_life=None,
            unique_budget=None,
            max_epochs=1.0,
            blend=(("code", 1.0),),
        )

    @property
    def ensemble_key(self) -> Trunk:
        """What the members of one ensemble share."""
        return replace(self, member=0)

    @property
    def config_hash(self) -> str:
        """Hash of everything but seed, member and budgets."""
        asked = spell_out(self.ensemble_key)
        del asked["seed"], asked["budgets"]
        return digest(asked)

    def trunk_id(self, corpus_hash: str) -> str:
        """Hash of configuration, seed, member and corpus; the budgets that branch off do not change a trunk."""
        asked = [self.config_hash, self.seed, corpus_hash]
        return digest([*asked, self.member] if self.member else asked)

    def run_id(self, corpus_hash: str, budget: int, kind: str = "annealed", members: int = 1) -> str:
        """Hash of the trunk and one budget, and of the kind and the members where they are not the usual ones."""
        asked = [self.trunk_id(corpus_hash), budget, kind, members]
        return digest(asked[: 4 if members > 1 else 3 if kind != "annealed" else 2])

    @property
    def name(self) -> str:
        """For people."""
        unique = "" if self.unique_budget is None else f" unique {print_count(self.unique_budget)}"
        optimizer = "" if self.optimizer == "adamw" else f" {self.optimizer}"
        member = f" member {self.member}" if self.member else ""
        decay = f" decay {self.weight_decay:g}" if self.weight_decay else ""
        if self.decay_half_life:
            decay = f" decay half-life {print_count(self.decay_half_life)}"
        shape = f"width {self.width} depth {self.depth}"
        return f"{shape} lr {self.peak_lr:g}{optimizer}{decay}{unique} seed {self.seed}{member}"

    @staticmethod
    def from_json(asked: dict[str, Any]) -> Trunk:
        """A trunk from what `dataclasses.asdict` and JSON made of it."""
        blend = tuple((d, float(share)) for d, share in asked["blend"])
        return Trunk(**asked | {"budgets": tuple(asked["budgets"]), "blend": blend})


@dataclass(frozen=True, kw_only=True)
class Study:
    """Everything a study file asks for.

    Raises:
        VocabularyMismatch: a model's vocabulary is not the corpus's.
    """

    folder: Path
    """Holds the study file and the committed rows; its name is the study's."""
    question: str
    notebook: str | None
    corpus: CorpusSource
    """As written: a path is relative to `folder`."""
    trunks: tuple[Trunk, ...]

    def __post_init__(self) -> None:
        written_in = self.corpus.model_vocabulary
        for trunk in self.trunks:
            if trunk.vocabulary != written_in:
                raise VocabularyMismatch(trunk.vocabulary, written_in)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name

    def __str__(self) -> str:
        return str(self.folder)

    @property
    def source(self) -> CorpusSource:
        """The corpus with its path made findable from anywhere."""
        path, paths = self.corpus.path, tuple(str(self.folder / p) for p in self.corpus.paths)
        return replace(self.corpus, path=path if path is None else str(self.folder / path), paths=paths)

    def build_corpus(self, *, progress: bool = True) -> Corpus:
        """The text to train on, as `corpora.build_corpus` makes it."""
        return build_corpus(self.source, progress=progress)

    @property
    def asked(self) -> str:
        """The study spelled out, a trunk a line: what decides whether two study files ask for the same."""
        lines = [json.dumps({"corpus": spell_out(self.corpus)})]
        return "\n".join(lines + [json.dumps(spell_out(t)) for t in self.trunks]) + "\n"


def read_study(path: str | Path) -> Study:
    """The study in a TOML file, or in the `study.toml` of a folder.

    Raises:
        MissingRuns: there is no such file.
        UnknownKey, BadValue: the file asks for something that no study has, or for something impossible.
        StudyError: the file is not TOML.
    """
    path = Path(path)
    file = path / "study.toml" if path.is_dir() else path
    if not file.is_file():
        raise MissingRuns(file, "Name a study file, e.g. runs/quickstart/study.toml.")
    try:
        table = tomllib.loads(file.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise NotToml(file, str(problem)) from None
    _known(str(file), table, {"question", "notebook", "corpus", "defaults", "grid"})
    grids = table.get("grid", [{}])
    for key in ("corpus", "defaults"):
        _check(isinstance(table.get(key, {}), dict), key, table.get(key), f"a table, [{key}]", str(file))
    tables = isinstance(grids, list) and all(isinstance(grid, dict) for grid in grids)
    _check(tables, "grid", grids, "tables, each under [[grid]]", str(file))
    asked = dict(table.get("corpus", {}))
    _known(f"{file} [corpus]", asked, {f.name for f in fields(CorpusSource)} | {"blend"})
    blend = asked.pop("blend", None)
    corpus = _corpus(file, asked)
    even = {domain: 1 / len(corpus.domains) for domain in corpus.domains}
    defaults = {"vocabulary": corpus.model_vocabulary} | ({"blend": even} if even else {})
    defaults |= table.get("defaults", {}) | ({"blend": blend} if blend else {})
    keys = {f.name for f in fields(Trunk)} | {"N"}
    trunks: dict[Trunk, None] = {}
    for where, asked in [(f"{file} [defaults]", defaults), *((f"{file} [[grid]]", g) for g in grids)]:
        _known(where, asked, keys)
    for grid in grids:
        for trunk in _expand(str(file), defaults | grid):
            trunks[trunk] = None
    if not trunks:
        raise BadValue(
            str(file), "grid", grids, "a set of at least one trunk: none of its lists may be empty"
        )
    return Study(
        folder=file.parent if file.name == "study.toml" else file.with_suffix(""),
        question=_text(file, "question", table.get("question", "")),
        notebook=_text(file, "notebook", table.get("notebook", "")) or None,
        corpus=corpus,
        trunks=tuple(trunks),
    )


def spell_out(asked: Trunk | CorpusSource) -> dict[str, Any]:
    """Every key and value that is asked for, defaults included."""
    defaults = {f.name: f.default for f in fields(asked)}
    return {k: v for k, v in asdict(asked).items() if k not in _LATER or v != defaults[k]}


def digest(asked: object) -> str:
    """A short hash of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:12]


def difference(before: str, now: str) -> str:
    """The lines in which two spelled-out studies differ, marked - and +."""
    lines = difflib.unified_diff(before.splitlines(), now.splitlines(), lineterm="", n=0)
    return "\n".join(line for line in lines if line[:3] not in ("---", "+++") and line[:2] != "@@")


def _expand(where: str, asked: Mapping[str, Any]) -> Iterable[Trunk]:
    """Every combination of the values that were given as lists."""
    choices = {}
    for key, value in asked.items():
        if key == "budgets":
            value = [value] if isinstance(value, list) else [[value]]
        choices[key] = value if isinstance(value, list) else [value]
    for values in itertools.product(*choices.values()):
        yield _trunk(where, dict(zip(choices, values, strict=True)))


def _trunk(where: str, asked: dict[str, Any]) -> Trunk:
    if ("width" in asked) == ("N" in asked):
        raise BadValue(where, "width", asked.get("width"), "given, one or a list of them, or N in its place")
    asked = {key: _value(where, key, value) for key, value in asked.items()}
    try:
        if "N" in asked:
            given = {key: asked[key] for key in ("depth", "head_dim") if key in asked}
            shape = ladder(asked.pop("N"), **given)
            asked |= {"width": shape.width, "depth": shape.depth}
        if isinstance(table := asked.get("peak_lr"), dict):
            width = asked["width"]
            wanted = f"a number, or a table with the width {width} in it"
            _check(str(width) in table, "peak_lr", table, wanted)
            asked["peak_lr"] = _number(where, "peak_lr", table[str(width)])
        trunk = Trunk(**asked)
        for one, other in itertools.pairwise(trunk.budgets):
            steps = trunk.steps(one)
            wanted = f"at least one step of tokens_per_step = {trunk.tokens_per_step:,} apart, not both {steps:,} steps"
            _check(steps < trunk.steps(other), "budgets", [one, other], wanted)
        return trunk
    except BadValue as problem:
        raise BadValue(where, problem.key, problem.found, problem.wanted) from None


def _value(where: str, key: str, value: Any) -> Any:
    """What a key of `Trunk`, or N, is asked to be, in the type that it has there; a table of rates is left as it is."""
    if key == "blend":
        return _blend(where, value)
    if key == "budgets":
        return tuple(sorted({_count(where, key, budget) for budget in value}))
    if key == "N":
        return _count(where, key, value, "weights", "124M")
    if key == "unique_budget" and value in (None, "all"):
        return None
    if key in _COUNTS:
        return _count(where, key, value)
    if key in _WORDS or (key == "peak_lr" and isinstance(value, dict)):
        return value
    return _number(where, key, value)


def _number(where: str, key: str, value: object) -> int | float:
    wanted = int if key in _WHOLE else float
    if not _is_finite(value) or wanted(value) != value:
        raise BadValue(where, key, value, "a whole number" if wanted is int else "a number")
    return wanted(value)


def _blend(where: str, value: object) -> tuple[tuple[str, float], ...]:
    if not isinstance(value, dict) or not all(map(_is_finite, value.values())):
        raise BadValue(where, "blend", value, "a table of shares, e.g. { code = 0.5, prose = 0.5 }")
    return tuple(sorted(value.items()))


def _is_finite(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _count(where: str, key: str, value: object, what: str = "tokens", example: str = "128Ki") -> int:
    try:
        count = parse_count(value) if isinstance(value, str) or _is_finite(value) else -1.0
    except UnknownUnit:
        count = -1.0
    if count < 0 or count != round(count):
        raise BadValue(
            where, key, value, f'a whole number of {what}, at least 0, e.g. 4096, "{example}" or "4M"'
        )
    return round(count)


def _corpus(file: Path, asked: dict[str, Any]) -> CorpusSource:
    lists = {"packages": "package names", "paths": "files and folders"}
    for key, what in lists.items():
        given = asked.get(key, [])
        if not isinstance(given, list) or not all(isinstance(p, str) for p in given):
            raise BadValue(str(file), f"corpus.{key}", given, f"a list of {what}")
    spoken = asked.get("languages", {})
    if not isinstance(spoken, dict) or not all(isinstance(s, dict) and "kind" in s for s in spoken.values()):
        raise BadValue(str(file), "corpus.languages", spoken, "a table for each language, with its kind")
    known: dict[str, Any] = asked | {key: tuple(asked.get(key, ())) for key in lists}
    for key in {"vocabulary", "train_tokens", "heldout_tokens"} & asked.keys():
        known[key] = _count(str(file), f"corpus.{key}", asked[key])
    try:
        known["languages"] = tuple(_language(name, table) for name, table in sorted(spoken.items()))
        return CorpusSource(**known)
    except BadValue as problem:
        raise BadValue(str(file), f"corpus.{problem.key}", problem.found, problem.wanted) from None


def _language(name: str, table: Mapping[str, Any]) -> LanguageSource:
    parameters = tuple(sorted((key, value) for key, value in table.items() if key != "kind"))
    return LanguageSource(name=name, kind=table["kind"], parameters=parameters)


def _known(where: str, table: Mapping[str, Any], known: set[str]) -> None:
    for key in table:
        if key not in known:
            raise UnknownKey(where, key, sorted(known))


def _text(file: Path, key: str, value: object) -> str:
    if not isinstance(value, str):
        raise BadValue(str(file), key, value, "text")
    return value


def _check(holds: bool, key: str, found: object, wanted: str, where: str = "study") -> None:
    if not holds:
        raise BadValue(where, key, found, wanted)
