"""What was read before, and how soon a skill is learned after it."""
