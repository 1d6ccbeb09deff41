"""Text to train on: where it comes from, how it is cut, and which tokens a model sees when."""
