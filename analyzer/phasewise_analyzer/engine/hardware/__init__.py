"""GPUs: peak rates, memory, links and prices."""
