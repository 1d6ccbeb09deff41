"""What a replay says, in words."""

from __future__ import annotations

ALARMS, NONE, CANNOT_TELL = "the rule raises false alarms", "the rule raises no false alarm", "not known yet"
"""What `replay` may answer."""


def sentence(answer: str, dates: int, scored: int, calls: int, quiet: int, wrong: int, months: int) -> str:
    """How often the rule spoke, and how often it was wrong."""
    lead = {
        ALARMS: "The rule raises false alarms",
        NONE: "The rule raised no false alarm",
        CANNOT_TELL: "What came after is not known yet at any of these dates",
    }[answer]
    return (
        f"**{lead}.** {dates} dates, {scored} of them scored: the rule called a plateau at {calls}; of the {quiet} "
        f"that no plateau followed it called one at {wrong}. Windows of {months} months overlap from date to date, so "
        "these are few independent trials."
    )


def next_scores(months: int) -> str:
    """What would score a date: no run, but releases."""
    return f"no training run, but scores of models released in the {months} months after a date that has as many before"


DOUBTS = (
    "**More years.** Dates a window apart are independent trials, and there are few of them.",
    "**What was known.** A model that was tested later counts from its release: the replay knows more than people did.",
)
"""What would change the answer."""
