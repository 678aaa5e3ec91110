"""One database file, many processes: its owner runs the statements of the others.

DuckDB lets one process write a file. Whoever opens a file that another Phasewise process owns
therefore connects to that process, over a socket beside the file, and has it run its statements:
the work around them (parsing, analysis, replay, printing) stays in the process that asked.
"""
