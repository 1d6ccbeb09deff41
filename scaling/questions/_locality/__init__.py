"""Whether abilities after training are local to their labels, scored by running commands."""
