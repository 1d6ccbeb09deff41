import io
import itertools
import math
from collections import Counter
from contextlib import redirect_stdout

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.corpora.synthetic.chance import TooFewLatents, UnknownChoice, split_of
from scaling.corpora.synthetic.programs import PLACEBOS, overlap, programs
from scaling.corpora.synthetic.skills import NAMES, SKILLS
from scaling.corpora.synthetic.surfaces import SURFACES
from scaling.errors import BadValue

CELLS = list(itertools.product(SKILLS, SURFACES))


class Absorbing(str):
    """A name that Python's unary plus leaves as it is, so that filler words may stand before it."""

    def __pos__(self):
        return self


class Names(dict):
    """Variables; what has none is a name that stands for itself."""

    def __missing__(self, name):
        if name in NAMES:
            return Absorbing(name)
        raise KeyError(name)


def printed(page, writer):
    """What Python prints when a page of code is executed as it stands, values taken modulo the world's modulus."""
    source = " ".join(page.words).replace(" ⏎", "\n").replace("\n ", "\n")
    out = io.StringIO()
    with redirect_stdout(out):
        exec(source, {}, Names(up={}))
    said = out.getvalue().strip()
    return said if writer.world.values == "names" else str(int(said) % writer.world.modulus)


@pytest.mark.parametrize("skill", SKILLS)
@settings(deadline=None, max_examples=15)
@given(
    depth=st.integers(1, 4), distractors=st.integers(0, 4), seed=st.integers(0, 99), traced=st.integers(0, 1)
)
def test_answers_match_what_python_prints_for_the_code(skill, depth, distractors, seed, traced):
    """The executor of latents beside an independent one, the interpreter itself."""
    writer = programs(
        skill=skill,
        surface="code",
        depth=depth,
        distractors=distractors,
        names=12,
        modulus=7,
        seed=seed,
        traced=traced,
    )
    for split in ("train", "heldout"):
        for page in writer.pages(split, 5):
            assert page.words[page.scored[-1]] == printed(page, writer)


@pytest.mark.parametrize("skill, surface", CELLS)
def test_pages_keep_to_their_words_and_length(skill, surface):
    writer = programs(skill=skill, surface=surface, depth=2, modulus=7, traced=1)
    pages = list(writer.pages("train", 300))
    lengths = [len(page.words) for page in pages]
    assert max(lengths) <= writer.longest <= 1.35 * max(lengths)
    assert {word for page in pages for word in page.words} <= set(writer.words)
    assert all(page.scored and max(page.scored) < len(page.words) for page in pages)


def test_answers_are_the_same_on_every_surface_for_the_same_program():
    answers = {}
    for surface in SURFACES:
        for page in programs(skill="sums", surface=surface, depth=1, distractors=0, names=4, modulus=5).pages(
            "train", 60
        ):
            answers.setdefault(page.latent, set()).add(page.words[page.scored[-1]])
    assert len(answers) < 80  # there are no more programs, so that surfaces tell many of the same
    assert all(len(said) == 1 for said in answers.values())


def test_no_latent_is_in_both_splits_whatever_the_surface_and_seed():
    read = {
        split: {
            page.latent
            for surface, seed in itertools.product(("english", "code"), (0, 1))
            for page in programs(surface=surface, seed=seed, names=3, modulus=3, distractors=1).pages(
                split, 15
            )
        }
        for split in ("train", "heldout")
    }
    assert not read["train"] & read["heldout"]


def test_pages_are_all_different_and_begin_with_those_of_a_shorter_call():
    writer = programs(skill="graph", depth=2, modulus=7)
    longer = list(writer.pages("heldout", 400))
    assert len({page.latent for page in longer}) == 400
    assert list(writer.pages("heldout", 40)) == longer[:40]
    assert next(programs(skill="graph", depth=2, modulus=7, seed=1).pages("heldout", 1)) != longer[0]


def test_surfaces_share_names_and_digits_alone():
    worlds = {surface: programs(skill="graph", surface=surface, depth=1, modulus=7) for surface in SURFACES}
    shared = set(worlds["english"].world.names) | set(map(str, range(7)))
    for one, other in itertools.combinations(worlds.values(), 2):
        assert set(one.words) & set(other.words) == shared
    table = overlap({surface: worlds[surface] for surface in ("english", "code")}, pages=100)
    assert [float(cell) for cell in table.rows[0][2:]] == [0.0, 0.0]
    assert 20 < float(table.rows[0][1]) < 60


@pytest.mark.parametrize("surface", [name for name, surface in SURFACES.items() if surface.pixels is None])
def test_a_page_tells_which_form_and_which_gaps_were_drawn(surface):
    """So the bits of a page are exactly its surprise: no two draws write the same words."""
    written = Counter()
    for forms in SURFACES[surface].forms.values():
        for form, gap in itertools.product(forms, range(3)):
            said = " ".join([SURFACES[surface].filler[0]] * gap)
            written[" ".join(form.replace("~", said).split())] += 1
    assert max(written.values()) == 1


def test_bits_are_the_surprise_of_pages_that_can_be_counted():
    """A world so small that every page comes often: its frequency is 2^-bits."""
    asked = {"skill": "lookup", "names": 2, "modulus": 2, "distractors": 0, "stretch": 1, "surface": "trace"}
    seen, bits = Counter(), {}
    for seed in range(1500):
        writer = programs(**asked, seed=seed)
        (page,), (cost,) = writer.pages("train", 1), writer.bits("train", 1)
        seen[" ".join(page.words)] += 1
        bits[" ".join(page.words)] = cost
    latents = [f"set {name} {value}; {name} 0 mod 2" for name in NAMES[:2] for value in (0, 1)]
    share = sum(split_of(latent) == "train" for latent in latents) / 4
    chance = np.array([2.0**-cost for cost in bits.values()]) / share
    assert chance.sum() == pytest.approx(1, abs=0.01)
    z = (np.array([*seen.values()]) - 1500 * chance) / np.sqrt(1500 * chance)
    assert np.sqrt((z**2).mean()) < 1.6


def test_answers_that_are_random_cost_what_they_add():
    plain, random = (programs(placebo=placebo).bits("train", 50) for placebo in ("none", "random"))
    assert random - plain == pytest.approx(math.log2(10))
    assert programs(surface="picture").bits("train", 5) is None
    assert programs(placebo="noise").bits("train", 5) is None


@pytest.mark.parametrize("surface", ["english", "video"])
def test_orders_put_the_name_first_or_second(surface):
    words = {
        orders: next(
            programs(surface=surface, orders=orders, stretch=0, distractors=0).pages("train", 1)
        ).words
        for orders in ("first", "second")
    }
    name = {orders: next(i for i, word in enumerate(said) if word in NAMES) for orders, said in words.items()}
    assert name["first"] < name["second"]


def test_word_orders_and_gaps_vary_within_and_between_documents():
    distances = []
    for page in programs(distractors=1, names=16).pages("train", 400):
        said, (answer,) = list(page.words), page.scored
        distances.append(answer - said.index(said[answer]))
    counts = np.bincount(distances)
    assert (counts > 4).sum() >= 8
    assert counts.max() < 120


# --- placebos ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def placebos():
    """Three hundred pages of every placebo of one world, drawn with the same seed."""
    return {placebo: list(programs(placebo=placebo).pages("train", 300)) for placebo in PLACEBOS}


def test_placebos_keep_latents_and_lengths(placebos):
    plain = placebos["none"]
    for placebo in set(PLACEBOS) - {"none", "statements"}:
        assert [page.latent for page in placebos[placebo]] == [page.latent for page in plain]
        assert [len(page.words) for page in placebos[placebo]] == [len(page.words) for page in plain]


def test_shuffled_pages_have_the_same_words_in_another_order(placebos):
    for page, plain in zip(placebos["shuffled"], placebos["none"], strict=True):
        assert Counter(page.words) == Counter(plain.words)
    assert sum(a.words == b.words for a, b in zip(placebos["shuffled"], placebos["none"], strict=True)) == 0


def test_random_answers_are_right_as_often_as_chance_is(placebos):
    pairs = list(zip(placebos["random"], placebos["none"], strict=True))
    assert all(page.words[: page.scored[0]] == plain.words[: plain.scored[0]] for page, plain in pairs)
    right = sum(page.words[page.scored[0]] == plain.words[plain.scored[0]] for page, plain in pairs)
    assert abs(right - 30) < 4 * math.sqrt(300 * 0.1 * 0.9)


def test_noise_has_the_frequencies_of_words_and_nothing_else(placebos):
    counts = [Counter(w for page in placebos[which] for w in page.words) for which in ("noise", "none")]
    for word, times in counts[1].items():
        assert abs(counts[0][word] - times) < 6 * math.sqrt(times) + 6
    pairs = Counter(p for page in placebos["noise"] for p in itertools.pairwise(page.words))
    assert pairs["?", "."] > 0  # between which an answer always stands


def test_distances_leave_no_name_that_tells(placebos):
    """The answer still repeats the right number, as far away as ever, but names are as good as none."""
    named = {}
    for which in ("distances", "none"):
        pages = placebos[which]
        hits = []
        for page in pages:
            answer = page.words[page.scored[0]]
            asked = next(word for word in reversed(page.words) if word in NAMES)
            near = [i for i, word in enumerate(page.words[: page.scored[0]]) if word == answer]
            around = {w for i in near for w in page.words[max(0, i - 8) : i + 9]}
            hits.append(asked in around)
        named[which] = np.mean(hits)
    assert named["none"] > 0.98
    assert named["distances"] < 0.6
    for page, plain in zip(placebos["distances"], placebos["none"], strict=True):
        assert page.words[page.scored[0]] == plain.words[plain.scored[0]]
        assert [w in NAMES for w in page.words] == [w in NAMES for w in plain.words]


def test_brackets_close_what_they_open(placebos):
    for page in placebos["brackets"]:
        awaited = []
        for word in page.words[len(page.words) % 2 :]:
            if word[0] == "<":
                awaited.append(word[::-1].translate(str.maketrans("<([{", ">)]}")))
            else:
                assert word == awaited.pop()
        assert not awaited


def test_statements_ask_nothing(placebos):
    for page, plain in zip(placebos["statements"], placebos["none"], strict=True):
        assert page.scored == ()
        assert plain.words[: len(page.words)] == page.words


# --- what cannot be asked ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "asked, words",
    [
        ({"surface": "englsh"}, "surface 'englsh', which there is not. Did you mean 'english'?"),
        ({"skill": "loop"}, "skill 'loop', which there is not. Did you mean 'loops'?"),
        ({"placebo": "shuffle"}, "placebo 'shuffle', which there is not. Did you mean 'shuffled'?"),
        ({"orders": "third"}, "order of words 'third', which there is not. Known: all, first, second"),
    ],
)
def test_an_unknown_choice_names_the_known_ones(asked, words):
    with pytest.raises(UnknownChoice) as problem:
        programs(**asked)
    assert words in str(problem.value)


@pytest.mark.parametrize(
    "asked, words",
    [
        ({"skill": "sums", "depth": 0}, "depth = 0, but it must be from 1 to 12 for 'sums'"),
        ({"names": 17}, "names = 17, but it must be from 2 to 16"),
        ({"skill": "family", "depth": 3, "distractors": 8}, "names = 8, but it must be from 12 to 16"),
        ({"skill": "graph", "depth": 1, "modulus": 10}, "modulus = 10, but it must be a prime for 'graph'"),
        ({"stretch": -1}, "stretch = -1, but it must be from 0 to 16"),
        ({"traced": 2}, "traced = 2, but it must be 0 or 1"),
    ],
)
def test_a_number_out_of_range_names_the_range(asked, words):
    with pytest.raises(BadValue) as problem:
        programs(**asked)
    assert words in str(problem.value)


def test_a_world_with_too_few_programs_names_how_many_it_wrote():
    writer = programs(names=2, modulus=2, distractors=0)
    with pytest.raises(
        TooFewLatents, match=r"asked for 50 different programs \(train\), but after [2-4] the next"
    ):
        list(writer.pages("train", 50))
