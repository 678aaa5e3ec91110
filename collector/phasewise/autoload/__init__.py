"""The folder that `phasewise run` puts on the path of the program it starts."""
