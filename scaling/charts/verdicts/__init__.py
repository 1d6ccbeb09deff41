"""A file for each topic of a verdict, with a function `draw(verdict)`; `scaling.plot` finds it by its name."""
