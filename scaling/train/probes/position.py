"""Loss by position: what more context is worth to a model."""

from __future__ import annotations

from scaling.train.probes import Reading, Windows
from scaling.train.probes.heldout import blended
from scaling.train.stack import Stack


class LossByPosition:
    """Mean held-out loss of the tokens at some positions of the window, on the model's blend of domains.

    Positions are those of predicted tokens, from 1, the token that is predicted from one other. The groups double:
    "1-2", "3-4", "5-8", "9-16" and so on to the end of the window. Their mean weighted by size is the run's loss.
    """

    name, unit = "position", "nats/token"

    def measure(self, stack: Stack, windows: Windows) -> list[Reading]:
        """A reading for every model and every group; `n` counts windows of the domains of its blend."""
        tables = {domain: stack.token_losses(w) for domain, w in windows.items()}
        readings = []
        for k, trunk in enumerate(stack.trunks):
            shares = {domain: share for domain, share in trunk.data.blend if share > 0}
            for first, last in position_groups(stack.shape.context):
                parts = {d: tables[d][k, :, first - 1 : last].mean(1) for d in tables if d in shares}
                count = sum(map(len, parts.values()))
                readings.append(Reading(k, f"{first}-{last}", *blended(shares, parts), count))
        return readings


def position_groups(context: int) -> list[tuple[int, int]]:
    """First and last position of each group of a window of so many tokens."""
    ends = [2]
    while ends[-1] < context:
        ends.append(2 * ends[-1])
    return [(before + 1, min(end, context)) for before, end in zip([0, *ends], ends, strict=False)]


PROBE = LossByPosition()
