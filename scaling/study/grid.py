"""A study file: what is asked of a sweep, read from TOML, checked and expanded before anything runs. No torch.

    question = "How does loss fall with compute?"
    notebook = "quickstart"              # the report's notebook, a stem under notebooks/
    keep = "weights"                     # of each finished run, beside its rows; "none" if it is not given
    probes = ["position"]                # what is measured beside held-out loss; none if it is not given

    [items]                              # questions for the probes item_log_probability, item_choice and item_exact
    path = "items.jsonl"                 # prompt, answer, choices and group in each line, see `corpora.items`; or
    # flags = 128                        # so many of each group, drawn of the manuals of a corpus, see `corpora.flags`

    [corpus]
    source = "installed"                 # or "folder", "files", "jsonl", "parquet", "huggingface", "language", …
    packages = ["numpy", "scipy"]        # each source has its keys, see `corpora.source.CorpusSource`
    blend = { code = 0.5, prose = 0.5 }  # share of each domain in the training tokens

    [defaults]                           # any key of a `Trunk`'s specs; counts may be written "512", "128Ki" or "4M"
    budgets = ["128Ki", "1Mi"]
    peak_lr = { 16 = 0.02, 32 = 0.015 }  # one number, or one for each width; so is head_dim

    [[grid]]                             # a list stands for every value in it; lists multiply
    width = [16, 32]
    seed = [0, 1]

    [[grid]]
    name = "base"                        # so that others can go on from its weights, where keep = "weights"
    [[grid]]
    parent = "base"                      # each of its trunks goes on, in every combination of the keys that are given
    stage = "sft"                        # here; others are as in the parent. Or "reward", "prefer", "pretrain" again,
                                         # or "generation": a new model reads what the parent writes

A grid is a set of trunks, each trained once at a constant rate; every budget branches from its trunk and is cooled to
zero. `budgets` is therefore the one key whose list does not multiply. In place of `width` a grid may give `N`, weights
inside the blocks, as in N = ["1M", "124M"]: width, depth and heads are then those of `flops.ladder`.
"""

from __future__ import annotations

import itertools
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

from scaling.arguments import checked
from scaling.corpora.items import ItemSource
from scaling.corpora.source import CorpusSource, DocumentSource, LanguageSource, Placebo
from scaling.corpora.synthetic.generated import Generated
from scaling.errors import BadValue, StudyError, UnknownKey
from scaling.flops import ladder
from scaling.records import MissingRuns
from scaling.study.parts import Blend, Budgets, Tokens
from scaling.study.spec import Stage, Study, Trunk, keys_of
from scaling.units import UnknownUnit, parse_count


class NotToml(StudyError):
    """A study file that is not TOML."""

    path: str | Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path} is not a TOML file ({self.reason}). Mend that line."


class BadStudyValue(StudyError, BadValue):
    """A value of a study file that is of the wrong kind or out of range."""

    def __str__(self) -> str:
        return f"{BadValue.__str__(self)} Change it in the study file."


class UnknownStudyKey(StudyError, UnknownKey):
    """A key of a study file that no study has."""

    def __str__(self) -> str:
        return UnknownKey.__str__(self).replace("there is not", "no study has")


@checked
def read_study(path: str | Path) -> Study:
    """The study in a TOML file, or in the `study.toml` of a folder.

    Raises:
        MissingRuns: there is no such file, or it cannot be read.
        UnknownStudyKey, BadStudyValue: the file asks for something that no study has, or for something impossible.
        UnknownSource, VocabularyMismatch: there is no such source of text, or models do not read its tokens.
        NotToml: the file is not TOML.
    """
    file = Path(path)
    try:
        file = file / "study.toml" if file.is_dir() else file
        if not file.is_file():
            raise MissingRuns(file, "Name a study file, e.g. runs/quickstart/study.toml.")
        table = tomllib.loads(file.read_text())
    except OSError as problem:  # it may not be read, or its disk does not answer
        raise MissingRuns(file, f"The system says: {problem}. Name a file that can be read.") from None
    except (
        ValueError,
        RecursionError,
    ) as problem:  # no text, no TOML, a number of 5,000 digits, brackets without end
        raise NotToml(file, str(problem)) from None
    try:
        return _study(file.parent if file.name == "study.toml" else file.with_suffix(""), table)
    except UnknownKey as problem:
        raise UnknownStudyKey(f"{file} {problem.where}".rstrip(), problem.key, problem.known) from None
    except BadValue as problem:
        raise BadStudyValue(str(file), problem.key, problem.value, problem.wanted) from None


def _study(folder: Path, table: Mapping[str, Any]) -> Study:
    given = _read("", table, _TOP)
    defaults, grids = given.pop("defaults", {}), given.pop("grid", [{}])
    corpus, blend = _corpus(given.pop("corpus", {}))
    even = {domain: 1 / len(corpus.domains) for domain in corpus.domains}
    follows = {"vocabulary": corpus.model_vocabulary, "context": corpus.model_context}
    asked = {key: value for key, value in follows.items() if value is not None}
    asked |= ({"blend": even} if even else {}) | defaults | blend
    for where, keys in [("[defaults]", asked), *(("[[grid]]", grid) for grid in grids)]:
        _known(where, keys, _TRUNK | _FAMILY if where == "[[grid]]" else _TRUNK)
    trunks = dict.fromkeys(_trunks(asked, grids))
    if not trunks:
        raise _bad("grid", grids, "a set of at least one trunk: none of its lists may be empty")
    if "items" in given:
        given["items"] = _items(given["items"])
    words = {"question": given.pop("question", ""), "notebook": given.pop("notebook", "") or None}
    return Study(folder=folder, corpus=corpus, trunks=tuple(trunks), **words, **given)


def _corpus(asked: Mapping[str, Any]) -> tuple[CorpusSource, dict[str, Any]]:
    """The source of text, and the blend where it is given beside it."""
    try:
        given = _read("[corpus]", asked, _CORPUS)
        blend = {"blend": given.pop("blend")} if "blend" in given else {}
        return CorpusSource(**given), blend
    except BadValue as problem:
        raise _bad(f"corpus.{problem.key}", problem.value, problem.wanted) from None


def _items(asked: Mapping[str, Any]) -> ItemSource:
    _known("[items]", asked, keys_of(ItemSource))
    return ItemSource(**asked)


def _trunks(defaults: Mapping[str, Any], grids: Iterable[Mapping[str, Any]]) -> Iterator[Trunk]:
    """Those of every grid; a grid with a parent goes on from each trunk of another."""
    named: dict[str, list[Trunk]] = {}
    for grid in grids:
        family = {key: _FAMILY[key](key, grid[key]) for key in _FAMILY if key in grid}
        own = {key: value for key, value in grid.items() if key not in _FAMILY}
        if "parent" not in family:
            trunks = [_trunk(asked) for asked in _expand({**defaults, **own})]
        elif family["parent"] in named:
            trunks = [_child(parent, asked) for parent in named[family["parent"]] for asked in _expand(own)]
        else:
            raise _bad("parent", family["parent"], "the name of a [[grid]] above")
        named[family.get("name", "")] = trunks
        yield from trunks


def _expand(asked: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every combination of the values that were given as lists."""
    choices = {key: value if isinstance(value, list) else [value] for key, value in asked.items()}
    if "budgets" in choices:
        choices["budgets"] = [choices["budgets"]]
    for values in itertools.product(*choices.values()):
        yield dict(zip(choices, values, strict=True))


def _trunk(asked: dict[str, Any]) -> Trunk:
    if ("width" in asked) == ("N" in asked):
        raise _bad("width", asked.get("width"), "given, one or a list of them, or N in its place")
    asked = _read("[[grid]]", asked, _TRUNK)
    if "N" in asked:
        if isinstance(table := asked.get("head_dim"), dict):
            raise _bad("head_dim", table, "one number where N chooses the width")
        given = {key: asked[key] for key in ("depth", "head_dim") if key in asked}
        shape = ladder(asked.pop("N"), **given)
        asked |= {"width": shape.width, "depth": shape.depth, "head_dim": shape.head_dim}
    return _checked(Trunk.of(**asked | _at_width(asked, asked["width"])))


def _child(parent: Trunk, asked: dict[str, Any]) -> Trunk:
    asked = _read("[[grid]]", asked, _TRUNK)
    return _checked(parent.then(**asked | _at_width(asked, parent.model.width)))


def _at_width(asked: Mapping[str, Any], width: int) -> dict[str, Any]:
    """What is given by width, at this one."""
    own = {}
    for key, read in _BY_WIDTH.items():
        if isinstance(table := asked.get(key), dict):
            if str(width) not in table:
                raise _bad(key, table, f"a number, or a table with the width {width} in it")
            own[key] = read(key, table[str(width)])
    return own


def _checked(trunk: Trunk) -> Trunk:
    schedule = trunk.schedule
    for one, other in itertools.pairwise(schedule.budgets):
        if schedule.steps(one) == schedule.steps(other):
            step = f"at least one step of tokens_per_step = {schedule.tokens_per_step:,} apart"
            raise _bad("budgets", [one, other], f"{step}, not both {schedule.steps(one):,} steps")
    return trunk


def _read(where: str, table: Mapping[str, Any], readers: Mapping[str, Reader]) -> dict[str, Any]:
    _known(where, table, readers)
    return {key: readers[key](key, value) for key, value in table.items()}


def _known(where: str, table: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    for key in table:
        if key not in known:
            raise UnknownKey(where, key, sorted(known))


def _bad(key: str, value: object, wanted: str) -> BadValue:
    return BadValue("study", key, value, wanted)


# --- readers: what a key is asked to be, in the type that it has -----------------------------------

Reader = Callable[[str, Any], Any]
Synthetic = TypeVar("Synthetic", LanguageSource, DocumentSource)


def _reader(
    wanted: str, fits: Callable[[Any], bool], made: Callable[[Any], Any] = lambda value: value
) -> Reader:
    """What makes something of a value that fits, and else says what is wanted."""

    def read(key: str, value: Any) -> Any:
        if not fits(value):
            raise _bad(key, value, wanted)
        return made(value)

    return read


def _is(kind: type, of: Callable[[Any], bool] = lambda _: True) -> Callable[[Any], bool]:
    """Whether a value is of a kind, and every element of it, of a table every value, as it must be."""

    def fits(value: Any) -> bool:
        return isinstance(value, kind) and all(map(of, value.values() if kind is dict else value))

    return fits


def _is_finite(value: object) -> TypeGuard[int | float]:
    most = sys.float_info.max
    return isinstance(value, int | float) and not isinstance(value, bool) and -most <= value <= most


_TEXT, _NAMES = _is(str), _is(list, _is(str))
_as_it_is = _reader("", lambda _: True)  # for values that the dataclass they go into checks
_number = _reader("a number", _is_finite, float)
_whole = _reader("a whole number", lambda value: _is_finite(value) and int(value) == value, int)


def _table_or(read: Reader, key: str, value: object) -> Any:
    return value if isinstance(value, dict) else read(key, value)


def _count(key: str, value: object, what: str = "tokens", example: str = "128Ki") -> int:
    try:
        count = parse_count(value) if isinstance(value, str) or _is_finite(value) else -1.0
    except UnknownUnit:
        count = -1.0
    if not 0 <= count < float("inf") or count != round(count):
        wanted = f'a whole number of {what}, at least 0, e.g. 4096, "{example}" or "4M"'
        raise _bad(key, value, wanted)
    return round(count)


def _sources(kind: type[Synthetic], value_of: Reader) -> Reader:
    """What makes a synthetic source of each of some named tables; each has its kind, the rest are parameters."""

    def read(key: str, value: Any) -> tuple[Synthetic, ...]:
        if not _is(dict, lambda table: _is(dict)(table) and "kind" in table)(value):
            raise _bad(key, value, "a table for each domain, with its kind")
        return tuple(one(key, name, dict(table)) for name, table in sorted(value.items()))

    def one(key: str, name: str, table: dict[str, Any]) -> Synthetic:
        asked = _reader("text", _TEXT)(f"{key}.{name}.kind", table.pop("kind"))
        for parameter, value in table.items():
            value_of(parameter, value)
        return kind(name=name, kind=asked, parameters=tuple(sorted(table.items())))

    return read


def _placebos(key: str, value: Any) -> tuple[Placebo, ...]:
    keys = {"of", "kind"}
    if not _is(dict, lambda table: isinstance(table, dict) and table.keys() == keys)(value):
        wanted = 'a table for each placebo, e.g. { "shuffled code" = { of = "code", kind = "shuffled" } }'
        raise _bad(key, value, wanted)
    return tuple(Placebo(name=name, **table) for name, table in sorted(value.items()))


_TOP: dict[str, Reader] = {
    "question": _reader("text", _TEXT),
    "notebook": _reader("text", _TEXT),
    "keep": _as_it_is,
    "probes": _reader("a list of names", _NAMES, tuple),
    "items": _reader("a table, [items]", _is(dict)),
    "corpus": _reader("a table, [corpus]", _is(dict)),
    "defaults": _reader("a table, [defaults]", _is(dict)),
    "grid": _reader("tables, each under [[grid]]", _is(list, _is(dict))),
}
_budgets = _reader('a table of token counts, e.g. { prose = "256Ki" }', _is(dict))
_SHARES = "a table of shares, e.g. { code = 0.5, prose = 0.5 }"
_BY_TYPE: dict[Any, Reader] = {
    bool: _reader("true or false", lambda value: isinstance(value, bool)),
    int: _whole,
    float: _number,
    Tokens: _count,
    Tokens | None: _count,  # pyright: ignore[reportOperatorIssue]
    tuple[Tokens, ...]: lambda key, value: tuple(sorted({_count(key, count) for count in value})),
    Budgets: lambda key, value: tuple(
        sorted((domain, _count(f"{key}.{domain}", count)) for domain, count in _budgets(key, value).items())
    ),
    Blend: _reader(_SHARES, _is(dict, _is_finite), lambda table: tuple(sorted(table.items()))),
    str: _as_it_is,
    Stage: _as_it_is,
    Generated: _as_it_is,
}
_FAMILY: dict[str, Reader] = {"name": _reader("text", _TEXT), "parent": _reader("the name of a grid", _TEXT)}
"""Of a grid, beside the keys of its trunks."""
_BY_WIDTH: dict[str, Reader] = {"peak_lr": _number, "head_dim": _whole}
"""What a table may give for each width."""
_TRUNK: dict[str, Reader] = {
    key: _BY_TYPE[kind] for key, kind in keys_of(Trunk).items() if key != "parent"
} | {
    "N": partial(_count, what="weights", example="124M"),
    "unique_budget": lambda key, value: None if value == "all" else _count(key, value),
    **{key: partial(_table_or, read) for key, read in _BY_WIDTH.items()},
}
_CORPUS: dict[str, Reader] = dict.fromkeys([*keys_of(CorpusSource), "blend"], _as_it_is) | {
    "packages": _reader("a list of package names", _NAMES, tuple),
    "paths": _reader("a list of files and folders", _NAMES, tuple),
    "vocabulary": _count,
    "sections": _reader('numbers as text, e.g. ["1", "8"]', _NAMES, tuple),
    "pages_per_program": _whole,
    "train_tokens": _count,
    "heldout_tokens": _count,
    "endings": _reader(
        'a table of lists, e.g. { headers = [".h"] }',
        _is(dict, _NAMES),
        lambda table: tuple(sorted((domain, tuple(endings)) for domain, endings in table.items())),
    ),
    "placebos": _placebos,
    "languages": _sources(LanguageSource, _number),
    "train_documents": partial(_count, what="documents", example="4Ki"),
    "heldout_documents": partial(_count, what="documents", example="512"),
    "documents": _sources(DocumentSource, _reader("a number or text", lambda v: _is_finite(v) or _TEXT(v))),
}
