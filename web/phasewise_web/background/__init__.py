"""What takes long is made here, in a process beside the one that answers."""
