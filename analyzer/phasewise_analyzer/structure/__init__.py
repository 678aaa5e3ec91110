"""An agent's prompt laid out by how stable its blocks are: static first, dynamic last."""
