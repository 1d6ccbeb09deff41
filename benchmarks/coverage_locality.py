"""How often the question of locality is right, on studies whose answer is known.

    python -m benchmarks.coverage_locality [--worlds 200]

Shares of a base, a ceiling and labels of others are set; seeds spread by 0.08, or by 0.16 as the widest cells of a
pilot, and requests are right or wrong by chance beside. Worlds are seeded from 10,000 on, tests from 0 and 1,000.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import numpy as np
import polars as pl
from studies.locality import world

from scaling.questions import locality
from scaling.show import Table

SHARES = {"base": 0.0, "ceiling": 0.9, "neither": 0.02, "manuals": 0.3, "scripts": 0.6}
CASES = {
    "not local (Λ .03), 5 seeds": ({"manuals and scripts": 0.87}, {}),
    "partly (Λ .50), 5 seeds": ({"manuals and scripts": 0.45}, {}),
    "partly (Λ .50), spread .16": ({"manuals and scripts": 0.45}, {"spread": 0.16}),
    "partly (Λ .50), 3 seeds": ({"manuals and scripts": 0.45}, {"seeds": 3}),
    "local (Λ .97), 5 seeds": ({"manuals and scripts": 0.03}, {}),
    "no ceiling": (dict.fromkeys(("ceiling", *SHARES, "manuals and scripts"), 0.05), {}),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--worlds", type=int, default=200)
    worlds = parser.parse_args().worlds
    rows = []
    for name, (right, how) in CASES.items():
        shares = SHARES | right
        covered, answers = [], []
        for seed in range(worlds):
            verdict = locality(*world(shares, seed=10_000 + seed, sizes=(10_000, 100_000), **how))
            answers.append(verdict.answer)
            index = verdict.evidence["index"].drop_nans("locality").filter(pl.col("pretrained") != "neither")
            gain = shares["ceiling"] - shares["base"]
            for row in index.iter_rows(named=True) if gain else ():
                truth = 1 - (shares[row["pretrained"]] - shares["base"]) / gain
                covered.append(row["low"] <= truth <= row["high"])
        counts = {a: answers.count(a) / worlds for a in ("local", "partly local", "not local", "cannot tell")}
        inside = f"{np.mean(covered):.3f}" if covered else "-"
        rows.append((name, inside, *(f"{share:.2f}" for share in counts.values())))
    header = (
        "world",
        "80 % interval of Λ holds the truth",
        "local",
        "partly local",
        "not local",
        "cannot tell",
    )
    print(Table(header, rows))


if __name__ == "__main__":
    main()
