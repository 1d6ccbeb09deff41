"""Items are read in the tokens of the corpus that models are trained on, and what is no item is named by its line."""

import json
from dataclasses import replace

import pytest
from tokenizers import Tokenizer

from scaling.corpora.bpe import TOKENIZER_FILE, encode_corpus
from scaling.corpora.items import Items, ItemSource, ItemTooLong, UnreadableItems, read_items
from scaling.errors import BadValue

SUMS = [
    {"prompt": "2 + 2 =", "answer": " 4", "choices": [" 3", " 4", " 5"], "group": "sums"},
    {"prompt": "", "answer": "é"},
]


def written(folder, *items):
    (folder / "quiz.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    return ItemSource(path="quiz.jsonl", stop="\n")


def test_items_of_bytes_are_bytes_behind_the_zero_that_parts_documents(corpus, tmp_path):
    items = read_items(written(tmp_path, *SUMS), tmp_path, corpus, 32)
    first, second = items.each
    assert first.prompt == (0, *b"2 + 2 =")
    assert first.choices == (tuple(b" 3"), tuple(b" 4"), tuple(b" 5"))
    assert (first.answer, first.group, items.stop) == (tuple(b" 4"), "sums", tuple(b"\n"))
    assert (second.prompt, second.answer) == ((0,), tuple("é".encode()))
    assert (second.choices, second.group) == ((), "quiz")
    items.write(tmp_path / "kept.json")
    assert Items.load(tmp_path / "kept.json") == items


def test_items_are_written_in_learned_tokens_in_words_and_in_numbers(corpus, tmp_path):
    learned = encode_corpus(corpus, 300, progress=False)
    tokenizer = Tokenizer.from_file(str(learned.folder / TOKENIZER_FILE))
    (first, _), source = (
        read_items(written(tmp_path, *SUMS), tmp_path, learned, 32).each,
        ItemSource(path="q"),
    )
    assert tokenizer.decode(first.prompt) == "\0" + "2 + 2 ="
    assert tokenizer.decode(first.answer) == " 4"
    (tmp_path / "q").write_text('{"prompt": "find it", "answer": "it"}\n\n{"prompt": [2], "answer": [1, 2]}')
    words = read_items(source, tmp_path, replace(corpus, words=("", "it", "find")), 8).each
    assert [(item.prompt, item.answer) for item in words] == [((0, 2, 1), (1,)), ((2,), (1, 2))]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"prompt": "a"', "line 2 .* delimiter"),
        ('{"prompt": "a"}', "line 2 .* no object with an answer"),
        ('{"prompt": "a", "answer": ""}', "line 2 .* has no token"),
        ('{"prompt": [256], "answer": "a"}', r"line 2 .*\[256\] is neither text nor .* below 256"),
        ('{"prompt": 3, "answer": "a"}', "line 2 .* not iterable"),
        ('{"answer": "a", "choices": ["b", "c"]}', "line 2 .* the answer once among them"),
        ('{"answer": "a", "choises": ["b", "a"]}', "line 2 .* no key 'choises'"),
    ],
)
def test_what_is_no_item_is_named_by_its_line(corpus, tmp_path, line, reason):
    (tmp_path / "items.jsonl").write_text('{"answer": "a"}\n' + line)
    with pytest.raises(UnreadableItems, match=reason):
        read_items(ItemSource(path="items.jsonl"), tmp_path, corpus, 32)


def test_items_that_do_not_fit_or_are_not_there_are_named(corpus, tmp_path):
    source = written(tmp_path, {"prompt": "12345", "answer": "67"})
    assert read_items(source, tmp_path, corpus, 8)  # zero, five, two and the stop
    with pytest.raises(ItemTooLong, match=r"context of 7 for the item in line 1 .* takes 9 tokens"):
        read_items(source, tmp_path, corpus, 7)
    with pytest.raises(UnreadableItems, match=r"gone\.jsonl, but it cannot be read"):
        read_items(ItemSource(path="gone.jsonl"), tmp_path, corpus, 8)
    with pytest.raises(UnreadableItems, match="stop = 'ab' is 2 tokens"):
        read_items(replace(source, stop="ab"), tmp_path, corpus, 8)
    with pytest.raises(UnreadableItems, match="no word '12345'"):
        read_items(replace(source, stop=""), tmp_path, replace(corpus, words=("", "a")), 8)
    with pytest.raises(BadValue, match="samples = 0"):
        ItemSource(path="items.jsonl", samples=0)
