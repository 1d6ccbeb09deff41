"""Has the loss come to a plateau, or does the power law go on?"""

CONTINUES, SLOWS, FLAT, UNDECIDED = "power law continues", "slows down", "flat beyond C", "not identifiable"
"""What `plateau` may answer, and what its rivals say."""
