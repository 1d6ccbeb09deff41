"""Studies of duplicates whose answer is known: what the verdict is tested on."""

from __future__ import annotations

import json

import numpy as np
import polars as pl

from scaling.records import ON_OFFER

STORED = ("once", "4 times", "16 times", "64 times")
RULED = tuple(f"rule {name}" for name in STORED)


def duplicated(
    *,
    steep: float = 0.8,
    middle: float = 5.0,
    cost: float = 0.1,
    sizes: tuple[int, ...] = (6_000, 14_000, 26_000),
    seeds: int = 3,
    spread: float = 0.5,
    shared: float = 0.3,
    loss_spread: float = 0.1,
    heavy: bool = False,
    seed: int = 0,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Runs that saw some documents 4, 16 and 64 times as often as others, and runs that saw all equally often.

        log odds of the share memorised = steep (log2(times) - middle)

    Args:
        steep, middle: log odds for each doubling, and log2(times) at which half is memorised.
        cost: of duplicates on fresh answers, nats/token.
        sizes, seeds: of either kind of run.
        spread, shared: standard deviations of the log odds of a run's domain, and of what a size and what a seed share.
        loss_spread: of the loss on fresh answers of a run, and of what runs of one size and seed share.
        heavy: whether a domain's own part is of Student's t with three degrees of freedom.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    of_seed, of_size = (rng.normal(0, shared, n) for n in (seeds, len(sizes)))
    runs, measured = list[dict[str, object]](), list[dict[str, object]]()

    def add(run: str, probe: str, group: str, value: float) -> None:
        measured.append({"run_id": run, "step": 500, "probe": probe, "group": group, "value": float(value)})

    for i, size in enumerate(sizes):
        for s in range(seeds):
            level = 1.0 + loss_spread * rng.normal()
            for arm, often in (("dup", (8, 31, 125, 500)), ("plain", (24, 0, 0, 0))):
                run, times = f"{size} {s} {arm}", dict(zip(STORED, often, strict=True))
                epochs = {d: float(t) for d, t in times.items() if t}
                epochs |= {f"rule {d}": float(t) for d, t in times.items() if t}
                told = {"run_id": run, "params_total": size, "N": size // 2, "D": 800_000, "seed": s}
                runs.append(told | {"C": 4.8e6 * size, "domain_epochs": json.dumps(epochs)})
                loss = level + loss_spread * rng.normal() + (cost if arm == "dup" else 0.0)
                for domain, t in epochs.items():
                    own = spread * (rng.standard_t(3) / np.sqrt(3) if heavy else rng.normal())
                    odds = steep * (np.log2(t) - middle) + own + of_seed[s] + of_size[i]
                    share = 1 / (1 + np.exp(-odds))
                    add(run, "memorised", domain, share)
                    add(run, "memorised", domain + ON_OFFER, 1.0)
                    if domain in RULED:
                        fresh = float(np.exp(-loss))
                        add(run, "seen_exact", domain, fresh + (1 - fresh) * share)
                        add(run, "perturbed_exact", domain, fresh * (1 - share))
                        add(run, "answer_exact", domain, fresh)
                        add(run, "answer_loss", domain, loss)
    return pl.DataFrame(runs), pl.DataFrame(measured)
