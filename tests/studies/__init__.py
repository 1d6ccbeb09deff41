"""Studies whose answer is known: what verdicts are tested on, and what benchmarks count their errors on."""
