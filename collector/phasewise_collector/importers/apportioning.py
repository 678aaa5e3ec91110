"""Distribute a whole number over parts by weight, so that the parts sum to it."""

from collections.abc import Sequence


def shares(total: int, weights: Sequence[int]) -> list[int]:
    """Distribute a total over parts, rounded by largest remainder so that they sum to the total.

    Weights are above zero; no parts get no shares.
    """
    whole = sum(weights)
    if not whole:
        return []
    exact = [divmod(total * weight, whole) for weight in weights]
    found = [quotient for quotient, _ in exact]
    missing = total - sum(found)
    largest = sorted(range(len(exact)), key=lambda place: (-exact[place][1], place))
    for place in largest[:missing]:
        found[place] += 1
    return found
