"""The folder that `phasewise run` puts on the Python path of the program it starts."""
