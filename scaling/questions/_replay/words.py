"""What a replay says, in words."""

from __future__ import annotations

from scaling.verdict import Estimate

ALARMS, NONE, CANNOT_TELL = "the rule raises false alarms", "the rule raises no false alarm", "not known yet"
"""What `replay` may answer."""


_LEADS = {
    ALARMS: "The rule raises false alarms",
    NONE: "The rule raised no false alarm",
    CANNOT_TELL: "What came after is not known yet",
}


def sentence(
    answer: str,
    dates: int,
    scored: int,
    calls: int,
    quiet: int,
    wrong: int,
    rate: Estimate | None,
    months: int,
) -> str:
    """How often the rule spoke, and how often it was wrong."""
    if rate is None and not scored:
        return f"**{_LEADS[answer]}** at any of these {dates} dates, so no call of the rule can be scored."
    share = "" if rate is None else f", {rate.said()}"
    return (
        f"**{_LEADS[answer]}:** it called a plateau at {wrong} of {quiet} dates that none followed{share}. Of {dates} "
        f"dates {scored} are scored, and it called one at {calls} of these; windows of {months} months overlap from "
        "date to date, so they are few independent trials."
    )


def next_scores(months: int) -> str:
    """What would score a date: no run, but releases."""
    return f"no training run, but scores of models released in the {months} months after a date that has as many before"


DOUBTS = (
    "**More years.** Dates a window apart are independent trials, and there are few of them.",
    "**What was known.** A model that was tested later counts from its release: the replay knows more than people did.",
)
"""What would change the answer."""
