"""Usage: the one room that turns what a source reports of a call's tokens into `Usage`."""
