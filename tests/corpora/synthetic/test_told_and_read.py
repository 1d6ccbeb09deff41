"""Pages read back to the programs that they were written from."""

import pytest

from scaling.corpora.synthetic import writer
from scaling.corpora.synthetic.programs import programs
from scaling.corpora.synthetic.reading import NotTold
from scaling.corpora.synthetic.skills import SKILLS

ADA = [
    "ada",
    "holds",
    "3",
    ".",
    "ada",
    "gets",
    "4",
    "more",
    ".",
    "how",
    "many",
    "has",
    "ada",
    "?",
    "3",
    "2",
    ".",
]


@pytest.mark.parametrize("surface", ["english", "code", "trace", "table"])
@pytest.mark.parametrize("skill", SKILLS)
def test_reading_recovers_the_program_of_every_page(surface, skill):
    """With fillers, orders and bystanders, and the values on the way: the latent of the page, and its own answer."""
    made = programs(skill=skill, surface=surface, depth=2, distractors=2, modulus=7, names=12, traced=1)
    for page in made.pages("train", 40):
        told = made.told(page.words)
        assert told is not None
        assert str(told.program) == page.latent
        assert told.answer == tuple(page.words[place] for place in page.scored)
        assert made.right(page.words)


@pytest.mark.parametrize(
    "changed, whole, right",
    [
        ({}, True, True),
        ({14: "1"}, True, False),  # a value on the way that is wrong
        ({15: "3"}, True, False),  # and an answer
        ({4: "bea"}, True, False),  # a name that has no value to be added to, while another is asked for
        ({3: "more"}, False, False),  # no end of a statement
        ({16: "?"}, False, False),
    ],
)
def test_reading_tells_right_pages_from_wrong_ones_and_from_none(changed, whole, right):
    made = programs(skill="sums", depth=1, modulus=5, distractors=0, stretch=0, orders="first", traced=1)
    words = [changed.get(place, word) for place, word in enumerate(ADA)]
    assert (made.told(words) is not None) == whole
    assert made.right(words) == right
    assert made.told(words[:-1]) is None
    assert made.told([*words, "well"]) is None


def test_reading_names_a_surface_that_draws():
    with pytest.raises(
        NotTold, match=r"'picture', which draws states and tells no steps.*english, code, trace"
    ):
        writer("programs", (("surface", "picture"),)).told(["zoom"])  # type: ignore[attr-defined]


@pytest.mark.parametrize("surface", ["english", "code", "trace", "table"])
@pytest.mark.parametrize("skill", SKILLS)
def test_a_perturbed_page_differs_in_one_word_and_has_the_answer_of_its_own_program(surface, skill):
    """By the executor; drawn by the page alone. Of family and graph only names can be changed, so some have none."""
    made = programs(skill=skill, surface=surface, depth=2, distractors=1, modulus=7, traced=1)
    changed = 0
    for page in made.pages("train", 12):
        other = made.perturbed(page.words, page.scored)
        assert other == made.perturbed(page.words, page.scored)
        if other is None:
            continue
        changed += 1
        apart = {i for i, (a, b) in enumerate(zip(page.words, other.words, strict=True)) if a != b}
        assert len(apart - set(page.scored)) == 1
        assert page.scored[-1] in apart
        assert made.right(other.words)
        assert str(made.told(other.words).program) == other.latent != page.latent
    assert changed >= 4
    assert made.perturbed(["no", "page"], [1]) is None
