"""Training: the only room that imports torch; `sweep` starts it in processes of its own without importing it."""
