"""What is found of each call, kept as rows when it comes: breaks, ledger, predicted reads."""
