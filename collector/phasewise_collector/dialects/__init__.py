"""What spans mean: every convention's names are data here, and one derivation reads them all."""
