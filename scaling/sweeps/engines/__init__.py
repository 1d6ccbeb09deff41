"""Where the workers of a sweep run: one file an engine."""
