"""How much of what is tested on tools the training labels tell by likeness alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from scaling.corpora.synthetic.documents import Writer
from scaling.corpora.synthetic.pages import END
from scaling.corpora.synthetic.tools import Request, Requests, World
from scaling.errors import CorpusError
from scaling.show import Table


class HeldOutTool(CorpusError):
    """Labels to train on, of a tool that was to be tested without any."""

    tools: tuple[str, ...]
    families: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"asked to test {', '.join(self.tools)} (of {', '.join(self.families)}) as held out, but the training "
            'labels have requests of these tools. Train on requests with tools_asked = "known", or test others. Labels '
            'of the tested tools themselves are a domain of their own, with tools_asked = "held out".'
        )


@dataclass(frozen=True)
class Leakage:
    """How much of what is tested the training labels tell by likeness alone."""

    requests: int
    """Tested."""
    same_request: float
    """Share of them that are in the training labels, word for word in effect."""
    same_flag: float
    """Share of their flags, (tool, meaning, letter), that are."""
    guess: float
    """Share of their flags that one gets right by taking the commonest letter of that meaning in the labels."""
    chance: float
    """The same for a letter at random."""
    ngrams: dict[int, float]
    """Share of the n-grams of their answers that are in the labels' answers, by n."""

    @property
    def table(self) -> Table:
        """What is printed."""
        rows = [
            ("tested requests", f"{self.requests:,}"),
            ("requests that are among the labels", f"{self.same_request:.1%}"),
            ("flags of a tool that are among the labels", f"{self.same_flag:.1%}"),
            ("flags right by the commonest letter of their meaning", f"{self.guess:.1%}"),
            ("flags right by chance", f"{self.chance:.1%}"),
            *(
                (f"{n}-grams of answers that are among the labels'", f"{x:.1%}")
                for n, x in self.ngrams.items()
            ),
        ]
        return Table(("leakage", "share"), rows)

    def __str__(self) -> str:
        return str(self.table)


def leakage(labels: Requests, tested: Requests, *, pages: int = 500) -> Leakage:
    """How alike the requests that are tested are to the labels that are trained on.

    Args:
        labels: trained on, their split "train".
        tested: of the same world, their split "heldout".
        pages: of each.

    Raises:
        HeldOutTool: a tool that is tested as held out has training labels.
    """
    both = {t.name for t in labels.of(labels.tools_asked)} & {t.name for t in tested.of(tested.tools_asked)}
    if both and tested.tools_asked == "held out":
        families = sorted({t.family for t in tested.tools if t.name in both})
        raise HeldOutTool(tuple(sorted(both)), tuple(families))
    trained = [*_answered(labels, "train", pages)]
    asked = [*_answered(tested, "heldout", pages)]
    seen = {request.effect for request, _ in trained}
    flags = [[*_flags(tested, request)] for request, _ in asked]
    known = {flag for request, _ in trained for flag in _flags(labels, request)}
    letters: dict[str, Counter[str]] = {}
    for _, meaning, letter in known:
        letters.setdefault(meaning, Counter())[letter] += 1
    commonest = {meaning: max(sorted(c), key=c.__getitem__) for meaning, c in letters.items()}
    every = [flag for one in flags for flag in one]
    return Leakage(
        requests=len(asked),
        same_request=_share(request.effect in seen for request, _ in asked),
        same_flag=_share(flag in known for flag in every),
        guess=_share(commonest.get(meaning) == letter for _, meaning, letter in every),
        chance=1 / tested.letters,
        ngrams={n: _overlap([a for _, a in trained], [a for _, a in asked], n) for n in (2, 3, 4)},
    )


def leakages(
    domains: Mapping[str, Writer], trained: Collection[str], *, pages: int = 200
) -> dict[tuple[str, str], Leakage]:
    """Of each domain of labels that is trained on, and each of requests for held-out tools, how alike they are.

    Labels of held-out tools alone are left out: they are trained on to know what all labels would bring.

    Args:
        domains: all that a corpus has, each with its writer.
        trained: those that a model is trained on.
        pages: of each that are compared.

    Raises:
        HeldOutTool: a tool that is tested as held out is among labels of others.
    """
    requests = {name: one for name, one in domains.items() if isinstance(one, Requests)}
    held_out = {name: one for name, one in requests.items() if one.tools_asked == "held out"}
    labels = {name: one for name, one in requests.items() if name in trained and name not in held_out}
    return {
        (label, tested): leakage(labels[label], held_out[tested], pages=pages)
        for label in labels
        for tested in held_out
    }


def _answered(requests: Requests, split: str, pages: int) -> Iterator[tuple[Request, list[str]]]:
    """Requests and answers of some pages."""
    for page in requests.pages(split, pages):
        command: list[str] = []
        for place in page.scored:
            command.append(page.words[place])
            if command[-1] == END:
                did = requests.run(command).did
                assert did
                yield did, command
                command = []


def _flags(world: World, request: Request) -> Iterator[tuple[str, str, str]]:
    letters = {meaning: letter for letter, meaning in world.table[request.tool].items()}
    return ((request.tool, meaning, letters[meaning]) for meaning, _ in request.settings)


def _overlap(trained: Sequence[Sequence[str]], asked: Sequence[Sequence[str]], n: int) -> float:
    def grams(words: Sequence[str]) -> list[tuple[str, ...]]:
        return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]

    seen = {gram for words in trained for gram in grams(words)}
    return _share(gram in seen for words in asked for gram in grams(words))


def _share(of: Iterable[bool]) -> float:
    right = [*of]
    return sum(right) / max(len(right), 1)
