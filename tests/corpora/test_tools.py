"""Tools, their pages and the executor that scores commands."""

import itertools
import random

import pytest

from scaling.corpora.synthetic.errands import ErrandPairs, Errands, Prose
from scaling.corpora.synthetic.leakage import HeldOutTool, leakage
from scaling.corpora.synthetic.pages import END
from scaling.corpora.synthetic.tools import (
    FILES,
    KINDS,
    LETTERS,
    VALUES,
    Manuals,
    Requests,
    Scripts,
    World,
)
from scaling.errors import BadValue

WRITERS = [
    Manuals(), Manuals(order="letter"), Scripts(settings=2), Requests(settings=3, synonyms=3),
    Requests(tools_asked="held out"), Prose(), Errands(), ErrandPairs(noise=0.2),
]  # fmt: skip


def right_commands(world, request):
    """Every command that does what was asked, by trying all orders: nothing here is the executor's."""
    flags = {tool.name: {meaning: letter for letter, meaning in tool.flags} for tool in world.tools}
    parts = [[flags[request.tool][m], v] if v else [flags[request.tool][m]] for m, v in request.settings]
    return {
        (request.tool, *itertools.chain(*order)) for order in itertools.permutations([*parts, [request.file]])
    }


def scrambled(world, rng, words):
    """A command after none to three accidents."""
    everything = [*LETTERS[: world.letters], *FILES, *VALUES["number"], *VALUES["name"], world.tools[0].name]
    words = list(words)
    for _ in range(rng.randrange(4)):
        place, what = rng.randrange(len(words) + 1), rng.randrange(4)
        if what == 0:
            words.insert(place, rng.choice(everything))
        elif what == 1 and words:
            words[place % len(words)] = rng.choice(everything)
        elif what == 2 and words:
            del words[place % len(words)]
        else:
            rest = words[1:]
            rng.shuffle(rest)
            words[1:] = rest
    return words


def test_executor_matches_a_search_through_all_right_commands():
    """On 10,000 random commands, a good part of them right."""
    world, rng = World(settings=3, letters=8), random.Random(0)
    right = 0
    for _ in range(10_000):
        request = world.draw(rng, rng.choice(world.tools))
        command = scrambled(world, rng, world.command(request)[:-1])
        expected = tuple(command) in right_commands(world, request)
        assert world.does(request, command) == expected, (request, command)
        right += expected
    assert 2_000 < right < 8_000


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ([], "no such tool"),
        (["medora", "notes"], "no such tool"),
        (["{tool}", "notes", "photos"], "2 files"),
        (["{tool}"], "0 files"),
        (["{tool}", "{number}", "alpha", "notes"], "{number} wants a number"),
        (["{tool}", "{number}", "3", "{number}", "3", "notes"], "a flag comes twice"),
        (["{tool}", "{other}", "notes"], "no such flag {other}"),
        (["{tool}", "please", "notes"], "no such file please"),
        (["{tool}", "notes", END, "notes"], "no such file ;"),
    ],
)
def test_executor_names_why_a_command_is_refused(command, why):
    world = World()
    tool = next(t for t in world.tools if any(KINDS[m] == "number" for _, m in t.flags))
    letters = dict(tool.flags)
    names = {
        "tool": tool.name,
        "number": next(letter for letter, m in tool.flags if KINDS[m] == "number"),
        "other": next(letter for letter in LETTERS if letter not in letters),
    }
    ran = world.run([word.format(**names) for word in command])
    assert ran.did is None
    assert ran.refused == why.format(**names)


@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: type(writer).__name__)
def test_pages_are_the_same_again_and_their_splits_apart(writer):
    long, short = [*writer.pages("train", 60)], [*writer.pages("train", 20)]
    assert long[:20] == short
    tested = [*writer.pages("heldout", 60)]
    whole = isinstance(writer, Manuals)  # all of them tell the same of a tool
    parts = [
        {part for page in pages for part in ([page.latent] if whole else page.latent.split(" | "))}
        for pages in (long, tested)
    ]
    assert not parts[0] & parts[1]
    for page in long + tested:
        assert 0 < len(page.words) <= writer.longest
        assert set(page.words) <= set(writer.words)
        assert all(0 <= place < len(page.words) for place in page.scored)


def test_answers_of_requests_do_what_was_asked():
    """Every answer that a page marks runs, and no page tells a flag that it asks for again."""
    writer = Requests(settings=2)
    for page in writer.pages("train", 50):
        commands = " ".join(page.words[i] for i in page.scored).split(f" {END}")[:-1]
        ran = [writer.run(command.split()).did for command in commands]
        done = [request for request in ran if request]
        assert len(done) == len(commands)
        assert " | ".join(request.latent for request in done) == page.latent
        flags = [(request.tool, meaning) for request in done for meaning, _ in request.settings]
        assert len(set(flags)) == len(flags)


@pytest.mark.parametrize("order", ["letter", "meaning", "both"])
def test_a_manual_says_what_flags_mean_in_the_order_that_is_asked_for(order):
    """Every line of every page is true, and says letter and meaning in an order of the manual's."""
    writer, seen = Manuals(order=order), set()
    for page in writer.pages("train", 100):
        for line in " ".join(page.words).split(f" {END}"):
            words = line.split()
            places = {word: i for i, word in enumerate(words)}
            letter = next((word for word in words if word in LETTERS), None)
            if letter is None:
                continue
            tool = next(word for word in words if word in writer.table)
            meaning = writer.table[tool][letter]
            assert meaning in places
            seen.add("letter" if places[letter] < places[meaning] else "meaning")
    assert seen == ({"letter", "meaning"} if order == "both" else {order})


def test_leakage_knows_tools_that_labels_tell_from_tools_that_they_do_not():
    tested = Requests(tools_asked="held out")
    apart = leakage(Requests(), tested)
    assert (apart.same_request, apart.same_flag) == (0, 0)
    assert apart.guess < 0.25  # a few letters of one meaning agree by chance
    same = leakage(Requests(), Requests())
    assert same.same_request == 0
    assert same.same_flag > 0.99
    assert "flags right by the commonest letter" in str(apart)
    with pytest.raises(
        HeldOutTool, match=r"as held out, but the training labels have requests of these tools"
    ):
        leakage(Requests(tools_asked="all"), tested)


def test_pairs_have_a_right_answer_and_another():
    right = {}
    for page in Errands().pages("train", 300):
        for part in " ".join(page.words).split(f" {END}"):
            if " : " in part:
                asked, answer = part.strip().split(" : ")
                right.setdefault(asked, set()).add(answer)
    agreed = 0
    for page in ErrandPairs().pages("train", 100):
        ends = [0, *(place + 1 for place in page.scored)]
        halves = [page.words[a:b] for a, b in itertools.pairwise(ends)]
        assert len(halves) == 2 * ErrandPairs().pairs
        for chosen, rejected in zip(halves[::2], halves[1::2], strict=True):
            asked, answer = " ".join(chosen[:-1]).split(" : ")
            assert " ".join(rejected).startswith(f"{asked} : ")
            assert chosen != rejected
            agreed += answer in right.get(asked, ())
    assert agreed > 20
    noisy = ErrandPairs(noise=1.0)
    flipped = [page.words for page in noisy.pages("train", 5)]
    assert flipped != [page.words for page in ErrandPairs().pages("train", 5)]


def test_world_names_what_there_is_too_much_of():
    with pytest.raises(BadValue, match="letters = 40, but it must be from 1 to 26"):
        World(letters=40)
    with pytest.raises(BadValue, match="held_out = 8, but it must be at least 0 and fewer than families"):
        World(held_out=8)
    with pytest.raises(BadValue, match="order = 'backwards', but it must be letter or meaning or both"):
        Manuals(order="backwards")
