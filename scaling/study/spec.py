"""What is asked of one trunk: model, data, optimiser, schedule and stage; and of a study: its trunks and what is kept.

Each key of a study file is a field of a trunk or of its parts, so `Trunk.of` takes them flat, as files and jobs write
them, and a new key is a new field with a default.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import Field, dataclass, field, fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import numpy as np

from scaling.corpora.corpus import Corpus
from scaling.corpora.items import Items, ItemSource, read_items
from scaling.corpora.sampler import Sampler
from scaling.corpora.source import CorpusSource
from scaling.corpora.synthetic.generated import Generated, check_executable
from scaling.corpora.text import build_corpus
from scaling.errors import CorpusError, StudyError, UnknownKey, require
from scaling.flops import Shape
from scaling.records import ON_CURVES, check_probes
from scaling.study.parts import DataSpec, OptimSpec, ScheduleSpec
from scaling.units import print_count

Stage = Literal["pretrain", "sft", "reward", "prefer", "generation"]
"""What is trained: the next token of everything, the answers alone, a reward model of pairs, the policy by pairs, or a
model drawn anew on pages that its parent wrote."""
STAGES = get_args(Stage)
KEEPS = ("none", "weights")
"""What may be kept of a finished run beside its rows."""

Keys = tuple[tuple[str, Any], ...]
"""Flat keys of a trunk, each with its value."""
ModelSpec = Shape
"""A model is asked for by its shape alone."""


class ContextMismatch(CorpusError):
    """A model whose window is not a document."""

    model: int
    row: int

    def __str__(self) -> str:
        return (
            f"asked for a model with a context of {self.model:,} tokens, but the corpus has a document in each "
            f"{self.row:,}. Leave context out, and models follow the corpus."
        )


class VocabularyMismatch(CorpusError):
    """A model and a corpus that do not have the same tokens."""

    model: int
    corpus: int

    def __str__(self) -> str:
        return (
            f"asked for a model of {self.model:,} tokens, but the corpus is written in {self.corpus:,}. "
            "Give vocabulary under [corpus] only, and models follow it."
        )


class StageWithoutParent(StudyError):
    """A later stage that no weights are given for."""

    stage: str

    def __str__(self) -> str:
        return (
            f'asked for stage = "{self.stage}", which goes on from trained weights, but there is no parent. Give the '
            'grid that pre-trains a name, and this one parent = "that name".'
        )


class OtherShape(StudyError):
    """A trunk whose model cannot hold its parent's weights."""

    parent: Shape
    model: Shape

    def __str__(self) -> str:
        return (
            f"asked to go on from weights of {self.parent} with {self.model}; only score_head may differ. Leave the "
            "shape out where there is a parent, and it is the parent's."
        )


class ParentNotInStudy(StudyError):
    """A trunk whose parent the study does not train."""

    child: str
    parent: str

    def __str__(self) -> str:
        return (
            f"asked to train {self.child} from the weights of {self.parent}, which this study does not train to that "
            "budget. Add the parent to its trunks."
        )


@dataclass(frozen=True, kw_only=True)
class Trunk:
    """One constant-rate training run and the budgets that branch from it.

    Raises:
        BadValue: a value is out of range.
        StageWithoutParent: a later stage has no weights to start from.
    """

    model: ModelSpec
    schedule: ScheduleSpec
    data: DataSpec = field(default_factory=DataSpec)
    optim: OptimSpec = field(default_factory=OptimSpec)
    stage: Stage = "pretrain"
    parent: Keys = ()
    """The trunk whose annealed weights it starts from: the keys in which that one differs from it, with one budget;
    none where weights are drawn. `then` makes it."""
    generated: Generated = "replace"
    """Of stage "generation", which pages it reads: those of its parent, "accumulate" the real ones and those of all its
    forebears, "verified" of the latter the right ones. Each adds as many as `unique` allows of real ones."""
    kl_weight: float = 0.1
    """Of stage "prefer": what a nat of divergence from the parent costs, the β of direct preference optimisation."""
    seed: int = 0
    """Of the starting weights, the order of the windows, and which of them a unique budget keeps."""
    member: int = 0
    """Another model on the same tokens: its starting weights and order differ, the windows that are kept do not.
    Trunks that differ in nothing else are an ensemble, and the loss of their mean prediction is a row of its own."""

    def __post_init__(self) -> None:
        context, unique = self.model.context, self.data.unique_budget
        require(
            self,
            "trunk",
            stage=(self.stage in STAGES, " or ".join(STAGES)),
            seed=(self.seed >= 0, "at least 0"),
            member=(self.member >= 0, "at least 0"),
            kl_weight=(self.kl_weight > 0, "above 0"),
            generated=(self.generated in get_args(Generated), " or ".join(get_args(Generated))),
        )
        if self.stage != "pretrain" and not self.parent:
            raise StageWithoutParent(self.stage)
        scored = self.stage != "reward" or self.model.score_head
        require(self.model, "trunk", score_head=(scored, 'true where stage = "reward"'))
        windows = self.schedule.tokens_per_step % context == 0
        require(
            self.schedule, "trunk", tokens_per_step=(windows, f"a positive multiple of context = {context}")
        )
        enough = unique is None or unique >= context
        each = min(dict(self.data.unique).values(), default=context) >= context
        require(
            self.data,
            "trunk",
            unique_budget=(enough, "at least one window, or 'all'"),
            unique=(each, f"at least one window of {context:,} tokens of each domain"),
        )

    @classmethod
    def of(cls, **asked: Any) -> Trunk:
        """The trunk that these flat keys of a study file ask for; lists, as JSON has them, stand for tuples.

        Raises:
            UnknownKey: none of its specs has such a key.
            BadValue: a value is out of range.
        """
        known = keys_of(cls)
        for key in asked:
            if key not in known:
                raise UnknownKey("trunk", key, sorted(known))
        return _build(cls, {key: _tuples(value) for key, value in asked.items()})

    def but(self, **changed: Any) -> Trunk:
        """The same trunk with other values of some flat keys."""
        return Trunk.of(**self.flat | changed)

    def then(self, **changed: Any) -> Trunk:
        """The trunk that goes on from this one's weights at its largest budget, with other values of some flat keys.

        Raises:
            OtherShape: its model cannot hold them.
        """
        mine = self.flat | {"budgets": (max(self.schedule.budgets),)}
        flat = self.flat | {key: _tuples(value) for key, value in changed.items()}
        parent = sorted(key for key, value in mine.items() if key == "parent" or flat[key] != value)
        child = Trunk.of(**flat | {"parent": tuple((key, mine[key]) for key in parent)})
        if replace(child.model, score_head=self.model.score_head) != self.model:
            raise OtherShape(self.model, child.model)
        return child

    @property
    def parent_trunk(self) -> Trunk | None:
        """The trunk whose weights it starts from; it has one budget."""
        return Trunk.of(**self.flat | dict(self.parent)) if self.parent else None

    @property
    def generation(self) -> int:
        """Generations of models between it and real text; 0 for one that reads no pages of models."""
        parent = self.parent_trunk if self.stage == "generation" else None
        return 1 + parent.generation if parent else 0

    @property
    def flat(self) -> dict[str, Any]:
        """Every key with its value, as `Trunk.of` takes them."""
        return {field.name: value for field, value in leaves(self)}

    @property
    def weight_seed(self) -> int:
        """Of the starting weights; torch reads the lower 32 bits of a seed alone."""
        mixed = np.random.SeedSequence([self.seed, self.member]).generate_state(1)
        return int(mixed[0]) if self.member else self.seed

    def sampler(self, corpus: Corpus) -> Sampler:
        """Which tokens it sees at which step.

        Raises:
            UnknownDomain, EmptyDomain: the corpus cannot give what the blend asks for.
        """
        data, context = self.data, self.model.context
        windows = self.schedule.tokens_per_step // context
        return Sampler(
            corpus,
            dict(data.blend),
            context,
            windows,
            self.seed,
            data.unique_budget,
            dict(data.unique),
            self.member,
        )

    @property
    def stack_key(self) -> Trunk:
        """What trunks must share to be trained at once; seed, rate, decay, data and budgets may differ."""
        return replace(
            self,
            data=DataSpec(),
            optim=replace(self.optim, peak_lr=1.0, weight_decay=0.0, decay_half_life=None),
            schedule=replace(self.schedule, budgets=(self.schedule.tokens_per_step,)),
            generated="replace",
            parent=_any_parent(self.parent),
            seed=0,
            member=0,
        )

    @property
    def ensemble_key(self) -> Trunk:
        """What the members of one ensemble share."""
        return replace(self, member=0)

    @property
    def name(self) -> str:
        """For people."""
        data, optim = self.data, self.optim
        unique = "" if data.unique_budget is None else f" unique {print_count(data.unique_budget)}"
        optimizer = "" if optim.optimizer == "adamw" else f" {optim.optimizer}"
        member = f" member {self.member}" if self.member else ""
        decay = f" decay {optim.weight_decay:g}" if optim.weight_decay else ""
        if optim.decay_half_life:
            decay = f" decay half-life {print_count(optim.decay_half_life)}"
        for domain, count in data.unique:
            unique += f" {domain} {print_count(count)} × {dict(data.blend).get(domain, 0):.3g}"
        shape = f"width {self.model.width} depth {self.model.depth}"
        stage = "" if self.stage == "pretrain" else f"{self.stage} "
        if self.stage == "generation":
            stage = f"generation {self.generation}, {self.generated}, "
        return f"{stage}{shape} lr {optim.peak_lr:g}{optimizer}{decay}{unique} seed {self.seed}{member}"


def _any_parent(parent: Keys) -> Keys:
    """Any parent that has as many forebears as this one."""
    return parent and (("parent", _any_parent(dict(parent).get("parent", ()))),)


@dataclass(frozen=True, kw_only=True)
class Study:
    """Everything a study file asks for.

    Raises:
        BadValue: there is no such thing to keep, no such probe, or a generation without documents.
        NotExecutable: pages that nobody can execute are to be verified.
        VocabularyMismatch, ContextMismatch: a model's vocabulary or window is not the corpus's.
        ParentNotInStudy: a trunk goes on from weights that the study does not train.
    """

    folder: Path
    """Holds the study file and the committed rows; its name is the study's."""
    question: str
    notebook: str | None
    corpus: CorpusSource
    """As written: a path is relative to `folder`."""
    trunks: tuple[Trunk, ...]
    keep: str = "none"
    """Of each finished run beside its rows: "none", or its "weights". No run is another for it."""
    probes: tuple[str, ...] = ()
    """What is measured beside held-out loss, as `records.check_probes` reads it. No run is another for it."""
    items: ItemSource | None = None
    """Questions that probes ask; their path is relative to `folder`. No run is another for them."""

    def __post_init__(self) -> None:
        require(self, "study", keep=(self.keep in KEEPS, " or ".join(KEEPS)))
        check_probes(self.probes, items=self.items is not None)
        if self.items is not None:
            at_hand = not self.items.flags or self.corpus.source == "manuals"
            require(self.items, "items", flags=(at_hand, 'left out where source is not "manuals"'))
        written_in, row = self.corpus.model_vocabulary, self.corpus.model_context
        for trunk in self.trunks:
            if trunk.model.vocabulary != written_in:
                raise VocabularyMismatch(trunk.model.vocabulary, written_in)
            if row not in (None, trunk.model.context):
                raise ContextMismatch(trunk.model.context, row)
        self._check_parents()
        self._check_generations()

    def _check_generations(self) -> None:
        """Refuse pages that no model can write, or nobody can execute."""
        writers = self.corpus.writers if self.corpus.source == "synthetic" else {}
        kinds = {one.name: one.kind for one in self.corpus.documents}
        for trunk in (trunk for trunk in self.trunks if trunk.stage == "generation"):
            read = {domain for domain, share in trunk.data.blend if share > 0}
            one = len(read) == 1 and read == dict(trunk.data.unique).keys()
            words = 'a budget of documents of the one domain that is read, where stage = "generation"'
            require(trunk.data, "study", unique=(one and read <= writers.keys(), words))
            (domain,) = read
            if trunk.generated == "verified":
                check_executable(domain, kinds[domain], writers[domain])

    def _check_parents(self) -> None:
        """Refuse parents whose weights will not be there."""
        parents = {trunk: parent for trunk in self.trunks if (parent := trunk.parent_trunk)}
        kept = (not parents or self.keep == "weights", '"weights" where a trunk has a parent')
        require(self, "study", keep=kept)
        ends = {t: t.schedule.budgets for t in self.trunks} if parents else {}
        there = {replace(t, schedule=replace(t.schedule, budgets=(b,))) for t, bs in ends.items() for b in bs}
        for trunk, parent in parents.items():
            if parent not in there:
                raise ParentNotInStudy(trunk.name, parent.name)

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

    def read_items(self, corpus: Corpus) -> Items | None:
        """The questions in the tokens of its corpus, as `corpora.items.read_items` reads them; None without any.

        Raises:
            UnreadableItems, ItemTooLong: they cannot be asked of these models.
            BadValue: a probe asks for choices, and no item has any.
        """
        if self.items is None:
            return None
        context = min(trunk.model.context for trunk in self.trunks)
        items = read_items(self.items, self.folder, corpus, context)
        choose = any(name.removesuffix(ON_CURVES) == "item_choice" for name in self.probes)
        chosen = not choose or any(item.choices for item in items.each)
        require(self.items, "items", path=(chosen, "a file of items with choices, for item_choice"))
        return items

    def build_corpus(self, *, progress: bool = True) -> Corpus:
        """The text to train on, as `corpora.build_corpus` makes it."""
        return build_corpus(self.source, progress=progress)


@cache
def keys_of(kind: Any) -> dict[str, Any]:
    """The flat keys of a dataclass, those of the dataclasses inside it among them, each with its type."""
    keys: dict[str, Any] = {}
    for name, hint in _hints(kind).items():
        keys |= keys_of(hint) if is_dataclass(hint) else {name: hint}
    return keys


def leaves(asked: Any) -> Iterator[tuple[Field[Any], Any]]:
    """The fields of a dataclass that are no dataclass themselves, at any depth, with their values."""
    for one in fields(asked):
        value = getattr(asked, one.name)
        if is_dataclass(value):
            yield from leaves(value)
        else:
            yield one, value


@cache
def _hints(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in fields(kind)}


def _build(kind: Any, asked: dict[str, Any]) -> Any:
    """A dataclass, and those inside it, from flat keys."""
    given: dict[str, Any] = {}
    for name, hint in _hints(kind).items():
        if is_dataclass(hint):
            given[name] = _build(hint, asked)
        elif name in asked:
            given[name] = asked[name]
    return kind(**given)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value
