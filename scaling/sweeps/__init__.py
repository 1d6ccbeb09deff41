"""From a study to rows: plan, stack, launch, hear; no torch. Workers are started by name and meet it in `job`."""
