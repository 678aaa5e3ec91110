"""One database file, many processes: the process that owns it runs the statements of the others.

DuckDB lets only one process write a file. A command that opens a file owned by another Phasewise
process therefore connects to that process over a socket next to the file, and sends it its
statements. All other work (parsing, analysis, replay, printing) stays in the command's process.
"""
