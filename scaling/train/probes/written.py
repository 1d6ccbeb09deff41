"""What models write: whether their pages are whole, right and different from each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.synthetic import writer
from scaling.corpora.synthetic.generated import page_words
from scaling.corpora.synthetic.programs import Programs
from scaling.train.post.generation import write_pages
from scaling.train.probes import Reading, Windows
from scaling.train.probes.answer_exact import share
from scaling.train.stack import Stack

PAGES = 256
"""That each model writes."""


class Written:
    """Of pages that each model writes, the shares that are whole programs, right, and unlike every page before them.

    Groups are "DOMAIN whole", "DOMAIN right" and "DOMAIN different", for each domain of programs that can be executed
    and in which all models of the stack have learned to write nothing else.
    """

    name, unit = "written", "1"

    def measure(self, stack: Stack, windows: Windows) -> list[Reading]:
        """A reading for every model and every group; `n` counts pages."""
        (domain, *others) = {d for trunk in stack.trunks for d, s in trunk.data.blend if s > 0}
        about = stack.corpus.documents.get(domain, {}) if stack.corpus.words and not others else {}
        if not about:
            return []
        made = writer(about["kind"], tuple((key, value) for key, value in about["parameters"]))
        if not isinstance(made, Programs) or not made.executable:
            return []
        readings = []
        for k in range(len(stack.trunks)):
            mine = {name: view[k : k + 1] for name, view in stack.views.items()}
            (pages,) = write_pages(stack.forward, mine, PAGES, stack.trunks[k].weight_seed)
            words = [tuple(page_words(stack.corpus, page)) for page in pages]
            told = [made.told(page) for page in words]
            groups = {
                "whole": [one is not None for one in told],
                "right": [one is not None and one.right(traced=made.traced) for one in told],
                "different": _first(words),
            }
            readings += [share(k, f"{domain} {group}", np.array(each)) for group, each in groups.items()]
        return readings


def _first(pages: list[tuple[str, ...]]) -> NDArray[np.bool_]:
    """Whether no page before it is the same."""
    first = {page: i for i, page in reversed([*enumerate(pages)])}
    return np.array([first[page] == i for i, page in enumerate(pages)])


PROBE = Written()
