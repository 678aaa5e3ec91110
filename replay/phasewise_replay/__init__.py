"""Re-run captured sessions on engines and say, with intervals, what a change saves."""
