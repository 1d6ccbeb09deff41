"""From a study to rows: plan, pack, launch, hear; no torch. Workers are started by name and meet it in `job`."""
