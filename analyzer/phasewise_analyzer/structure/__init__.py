"""An agent's prompt by the stability of its blocks: static first, dynamic last."""
