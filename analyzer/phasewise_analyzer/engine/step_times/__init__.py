"""Step times: seconds of an engine step, by roofline, kernel tables or a fit."""
