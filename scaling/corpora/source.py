"""What a study may ask for under `[corpus]`: which source, and the keys that this source reads.

[corpus]
source = "jsonl"               # or "parquet"; a row is a document
path = "rows.jsonl"            # a file, or a folder of them; relative to the study's
text_column = "text"
domain_column = "lang"         # its values are the domains that a blend names
vocabulary = 4096              # 256, the bytes, if it is not given

[corpus]
source = "files"               # any UTF-8 text is one domain, "text"; what is none is counted in left_out
paths = ["letters", "a/book.txt"]

[corpus]
source = "installed"           # or "folder": two domains, code and prose
endings = { headers = [".h", ".hpp"] }                               # and one more of the files that end so
placebos = { "shuffled code" = { of = "code", kind = "shuffled" } }  # of any text; see `corpora.placebos`

[corpus]
source = "manuals"             # code and prose of `packages`, and two domains more: this machine's manuals and scripts
sections = ["1", "8"]          # of the manual; "1ssl" is of section 1
paths = ["/usr/share/man"]     # where pages and scripts lie; where programs usually have them if it is not given
pages_per_program = 100        # at most, so that no program with thousands is all there is

[corpus]
source = "language"
train_tokens = "4Mi"           # of each language
heldout_tokens = "256Ki"
blend = { hops = 0.5, phrases = 0.5 }
[corpus.languages.hops]        # a name of one's own, which is the domain
kind = "markov"                # the parameters are those of `corpora.languages.markov`
states = 64
[corpus.languages.phrases]
kind = "nested"

[corpus]
source = "synthetic"
train_documents = "4Ki"        # of each domain
heldout_documents = 512
[corpus.documents.english]     # a name of one's own, which is the domain
kind = "programs"              # one of `corpora.synthetic.WRITERS`; the parameters are those of its function
surface = "english"
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from scaling.corpora.corpus import BYTES
from scaling.corpora.kinds import Parameters
from scaling.corpora.languages import language
from scaling.corpora.synthetic import writer, writers
from scaling.corpora.synthetic.documents import Writer, row_tokens, vocabulary
from scaling.corpora.synthetic.programs import made_of, other_forms
from scaling.errors import BadValue, CorpusError, did_you_mean, require


class UnknownSource(CorpusError):
    """A kind of source that there is not."""

    given: object
    known: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"asked for text from the source {self.given!r}, which there is not. "
            f"{did_you_mean(self.given, self.known)}Known: {', '.join(self.known)}."
        )


class PlaceboWithoutSource(CorpusError):
    """A placebo of a domain that the corpus has no text of."""

    name: str
    of: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        there = ", ".join(map(repr, self.known))
        return (
            f"asked for the placebo {self.name!r} of the domain {self.of!r}, but the corpus has {there}. "
            f"{did_you_mean(self.of, self.known)}Make it of one of these."
        )


DOMAINS = ("code", "prose")
"""What files are split into: what runs, and what explains it."""
MANUALS, SCRIPTS = "manuals", "scripts"
"""What a machine says of its programs."""
SPLIT_ENDINGS = (".py", ".md", ".rst", ".txt")
"""Of the files that hold these two."""
PLACEBO_KINDS = ("shuffled", "reversed", "noise")
"""How a placebo is made: the pieces of each document in random order, backwards, or drawn anew by their frequency."""
ONE_DOMAIN = "text"
"""The domain of a table without a column of domains."""
SMALLEST_BPE = BYTES + 1
"""Every byte and one merge."""

_TEXT = {"vocabulary", "placebos"}
_TABLE = _TEXT | {"text_column", "domain_column"}
_SPELLED = {"documents", "train_documents", "heldout_documents", "document_bytes"}
_KEYS: dict[str, tuple[set[str], set[str]]] = {
    "installed": (set(), _TEXT | _SPELLED | {"packages", "endings"}),
    "folder": ({"path"}, _TEXT | _SPELLED | {"endings"}),
    "files": ({"paths"}, _TEXT),
    "manuals": (set(), _TEXT | {"packages", "paths", "sections", "pages_per_program"}),
    "jsonl": ({"path"}, _TABLE),
    "parquet": ({"path"}, _TABLE),
    "huggingface": ({"name"}, _TABLE | {"subset", "split"}),
    "language": ({"languages", "train_tokens", "heldout_tokens"}, set()),
    "synthetic": ({"documents", "train_documents", "heldout_documents"}, set()),
}
"""What each source needs, and what it may be given besides."""


@dataclass(frozen=True, kw_only=True)
class SyntheticSource:
    """What a program writes; its name is the domain of its text."""

    name: str
    kind: str
    parameters: Parameters = ()
    """Those that are given; the function of that kind has the defaults."""


@dataclass(frozen=True, kw_only=True)
class LanguageSource(SyntheticSource):
    """A language of one of `corpora.languages.KINDS`.

    Raises:
        BadValue, UnknownKey: there is no such kind or parameter, or a value is out of range.
    """

    def __post_init__(self) -> None:
        language(self.kind, self.parameters)


@dataclass(frozen=True, kw_only=True)
class DocumentSource(SyntheticSource):
    """Documents of one of `corpora.synthetic.WRITERS`.

    Raises:
        BadValue, UnknownKey: there is no such kind or parameter, or a value is out of range.
    """

    def __post_init__(self) -> None:
        writer(self.kind, self.parameters)


@dataclass(frozen=True, kw_only=True)
class Placebo:
    """A domain made of the words of another one; its name is the domain of its text.

    Raises:
        BadValue: there is no such kind, or no source.
    """

    name: str
    of: str
    kind: str

    def __post_init__(self) -> None:
        named = isinstance(self.of, str) and self.of != ""
        kinds = " or ".join(map(repr, PLACEBO_KINDS))
        where = f"placebo {self.name!r}"
        require(self, where, of=(named, "the domain it is made of"), kind=(self.kind in PLACEBO_KINDS, kinds))


def check_placebos(placebos: Sequence[Placebo], domains: Sequence[str]) -> None:
    """Refuse a placebo of what the corpus has not, or one with the name of a domain.

    Raises:
        PlaceboWithoutSource, BadValue: names the first.
    """
    for placebo in placebos:
        if placebo.of not in domains:
            raise PlaceboWithoutSource(placebo.name, placebo.of, tuple(domains))
        if placebo.name in domains:
            wanted = f"named otherwise than the domains {', '.join(domains)}"
            raise BadValue("corpus", "placebos", placebo.name, wanted)


@dataclass(frozen=True, kw_only=True)
class CorpusSource:
    """Where text comes from.

        installed    the standard library and `packages`
        folder       every file of code or prose under `path`
        files        the UTF-8 text of `paths`, files and all files under folders
        manuals      that of "installed", and the manual pages and shell scripts of this machine, or under `paths`
        jsonl        `text_column` of a file of JSON lines, or of all such files under `path`; a row is a document
        parquet      the same of Parquet files
        huggingface  the same of `split` of the dataset `name`, from the hub or from a folder
        language     synthetic `languages` with known entropy
        synthetic    synthetic `documents` with known answers, a row and a window each

    Beside the text of "installed" and "folder" stand `documents` too, spelled in bytes, `document_bytes` to a row.

    Raises:
        UnknownSource: `source` is none of these.
        PlaceboWithoutSource: a placebo is of a domain that there will not be.
        BadValue: a key is missing, out of range, or one that this source does not read.
    """

    source: str = "installed"
    packages: tuple[str, ...] = ()
    path: str | None = None
    paths: tuple[str, ...] = ()
    vocabulary: int = BYTES
    """Tokens: 256 are the bytes themselves; more are learned from the training text by byte-pair encoding."""
    text_column: str = "text"
    domain_column: str | None = None
    """Column whose values are the domains; without it all text is one domain, "text"."""
    name: str | None = None
    subset: str | None = None
    """What the hub calls a configuration, for datasets that have several."""
    split: str = "train"
    endings: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Further domains by how the names of their files end; their text is taken as it is."""
    placebos: tuple[Placebo, ...] = ()
    languages: tuple[LanguageSource, ...] = ()
    train_tokens: int = 0
    """Training text of each language."""
    heldout_tokens: int = 0
    """Held-out text of each language."""
    documents: tuple[DocumentSource, ...] = ()
    train_documents: int = 0
    """Documents of each domain to train on."""
    heldout_documents: int = 0
    """Documents of each domain to test on."""
    document_bytes: int = 0
    """Of a row and window, where documents stand as bytes beside the text of files, the byte before them included."""
    sections: tuple[str, ...] = ("1", "8")
    """Of manuals: programs, and those for administrators."""
    pages_per_program: int = 100
    """Most manual pages of one program."""

    def __post_init__(self) -> None:
        if not isinstance(self.source, str) or self.source not in _KEYS:
            raise UnknownSource(self.source, tuple(_KEYS))
        for key in ("path", "name", "subset", "split", "text_column", "domain_column"):
            value = getattr(self, key)
            text = value is None or (isinstance(value, str) and value != "")
            require(self, "corpus", **{key: (text, "text")})
        named = all(isinstance(path, str) and path for path in self.paths)
        require(self, "corpus", paths=(named, "names of files and folders"))
        numbered = (
            all(isinstance(one, str) and one[:1].isdigit() for one in self.sections) and self.sections != ()
        )
        require(self, "corpus", sections=(numbered, 'numbers as text, e.g. ["1", "8"]'))
        require(self, "corpus", pages_per_program=(self.pages_per_program >= 1, "at least 1"))
        self._check_endings()
        needs, may = _KEYS[self.source]
        for field in fields(self)[1:]:
            value = getattr(self, field.name)
            given = value != field.default
            if field.name in needs and not given:
                raise BadValue("corpus", field.name, value or None, f"given where source = {self.source!r}")
            if field.name not in needs | may:
                left = (not given, f"left out where source = {self.source!r}")
                require(self, "corpus", **{field.name: left})
        words = f"{BYTES} (bytes), or from {SMALLEST_BPE} to 65536 (byte-pair encoding)"
        fits = self.vocabulary == BYTES or SMALLEST_BPE <= self.vocabulary <= 1 << 16
        require(self, "corpus", vocabulary=(fits, words))
        if self.source != "synthetic" and any(getattr(self, key) for key in _SPELLED):
            words = f"given with {', '.join(sorted(_SPELLED))}"
            require(self, "corpus", **{key: (bool(getattr(self, key)), words) for key in sorted(_SPELLED)})
            require(self, "corpus", vocabulary=(self.vocabulary == BYTES, "left out beside documents"))
        if self.domains:
            check_placebos(self.placebos, self.domains)

    def _check_endings(self) -> None:
        every = [ending for _, endings in self.endings for ending in endings]
        words = 'a table of lists of endings such as ".h", each in one list only'
        dotted = all(isinstance(ending, str) and ending.startswith(".") for ending in every)
        once = dotted and len({*every, *SPLIT_ENDINGS}) == len(every) + len(SPLIT_ENDINGS)
        require(self, "corpus", endings=(once, f"{words}, and none of {', '.join(SPLIT_ENDINGS)}"))
        new = not {domain for domain, _ in self.endings} & set(DOMAINS)
        require(self, "corpus", endings=(new, f"domains beside {' and '.join(DOMAINS)}"))

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains that are read, placebos not among them; none where only reading the text will tell."""
        if self.source in ("installed", "folder"):
            return (*DOMAINS, *(domain for domain, _ in self.endings), *(one.name for one in self.documents))
        if self.source == "manuals":
            return (*DOMAINS, MANUALS, SCRIPTS)
        if self.source in ("language", "synthetic"):
            return tuple(one.name for one in (*self.languages, *self.documents))
        return () if self.domain_column else (ONE_DOMAIN,)

    @property
    def placebo_of(self) -> dict[str, str]:
        """Of each placebo of words the domain that it is made of, as `questions.transfer` takes them."""
        return {placebo.name: placebo.of for placebo in self.placebos} | made_of(self.writers, words=True)

    @property
    def form_placebo_of(self) -> dict[str, str]:
        """Of each placebo of form, e.g. programs with random answers, the domain that it is made of."""
        return made_of(self.writers, words=False)

    @property
    def other_form_of(self) -> dict[str, str]:
        """Of each domain of programs told in other orders or gaps the one that comes first."""
        return other_forms(self.writers)

    @property
    def model_vocabulary(self) -> int:
        """Tokens that a model of this corpus must tell apart."""
        if self.source == "synthetic":
            return len(vocabulary(self.writers))
        if self.source != "language":
            return self.vocabulary
        return max(language(spoken.kind, spoken.parameters).vocabulary for spoken in self.languages)

    @property
    def model_context(self) -> int | None:
        """Tokens that a model's window must have; None where any will do."""
        return row_tokens(self.writers) if self.source == "synthetic" else self.document_bytes or None

    @property
    def writers(self) -> dict[str, Writer]:
        """Who writes the synthetic documents of each domain."""
        return writers({one.name: (one.kind, one.parameters) for one in self.documents})
