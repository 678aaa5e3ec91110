"""Learn, from calls whose first token was seen, which share of a wait is prefill.

    prefill = a + b·new_tokens + c·input_tokens        (new: not known to be in a cache)
    decode  = d + e·(output_tokens - 1)
    share   = prefill / (prefill + decode)

Both lines are fitted robustly with no negative coefficient; the share, not the line, is used, so a
call that was slow as a whole is split by its own duration. The interval is that of the shares' own
errors on calls that the fit had not seen (five folds), so it holds what it says on such calls. On
an API the first token explains little of itself (network, other people's requests): the interval is
wide because the truth is.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

ENOUGH = 40
"""calls with a first token: with fewer, the 2.5 % tails of the errors would be guesses"""

FOLDS = 5
TAILS = (0.025, 0.975)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Token counts of some calls, one entry a call."""

    new_tokens: Floats
    """of the input, those not known to come from a cache"""
    input_tokens: Floats
    output_tokens: Floats

    def at(self, rows: npt.NDArray[np.bool_]) -> "Sizes":
        """Return some of the calls."""
        return Sizes(self.new_tokens[rows], self.input_tokens[rows], self.output_tokens[rows])


@dataclass(frozen=True, slots=True)
class Shares:
    """The prefill share of each call's wait with its interval; all in [0, 1]."""

    estimate: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, slots=True)
class ShareModel:
    """Fitted lines in seconds and seconds a token, and how far their shares were off."""

    prefill: tuple[float, float, float]
    decode: tuple[float, float]
    below: float
    """the lower end of the interval less the estimate; -1 is no knowledge"""
    above: float
    """the upper end of the interval less the estimate; 1 is no knowledge"""

    def shares(self, sizes: Sizes) -> Shares:
        """Estimate the prefill share of calls of these sizes."""
        estimate = self._share(sizes)
        return Shares(
            estimate,
            np.clip(estimate + min(self.below, 0.0), 0.0, 1.0),
            np.clip(estimate + max(self.above, 0.0), 0.0, 1.0),
        )

    def saved_s(self, cached_tokens: Floats) -> Floats:
        """Estimate the seconds of prefill that each call saved by not computing so many tokens."""
        saved: Floats = self.prefill[1] * cached_tokens
        return saved

    def _share(self, sizes: Sizes) -> Floats:
        prefill = _prefill_terms(sizes) @ np.array(self.prefill)
        decode = _decode_terms(sizes) @ np.array(self.decode)
        share: Floats = prefill / np.maximum(prefill + decode, 1e-12)
        return share


def fit(sizes: Sizes, first_token_s: Floats, duration_s: Floats) -> ShareModel | None:
    """Fit a model on calls whose first token was seen, in seconds; None when they are too few."""
    usable = (duration_s > 0) & (first_token_s > 0) & (first_token_s <= duration_s)
    sizes, first, whole = sizes.at(usable), first_token_s[usable], duration_s[usable]
    count = len(whole)
    if count < ENOUGH:
        return None
    fold = np.arange(count) % FOLDS
    error = np.empty(count)
    for one in range(FOLDS):
        seen, unseen = fold != one, fold == one
        model = _fit_lines(sizes.at(seen), first[seen], whole[seen])
        error[unseen] = first[unseen] / whole[unseen] - model.shares(sizes.at(unseen)).estimate
    below, above = np.quantile(error, TAILS)
    lines = _fit_lines(sizes, first, whole)
    return ShareModel(lines.prefill, lines.decode, float(below), float(above))


def _fit_lines(sizes: Sizes, first_s: Floats, whole_s: Floats) -> ShareModel:
    base, new, context = _robust(_prefill_terms(sizes), first_s)
    start, token = _robust(_decode_terms(sizes), whole_s - first_s)
    return ShareModel((base, new, context), (start, token), -1.0, 1.0)


def _prefill_terms(sizes: Sizes) -> Floats:
    ones = np.ones(len(sizes.input_tokens))
    return np.column_stack((ones, sizes.new_tokens, sizes.input_tokens))


def _decode_terms(sizes: Sizes) -> Floats:
    # the first output token comes out of prefill
    ones = np.ones(len(sizes.output_tokens))
    return np.column_stack((ones, np.maximum(sizes.output_tokens - 1, 0)))


def _robust(terms: Floats, seconds: Floats) -> list[float]:
    """Fit by Huber's iteration: calls that are far off count for less."""
    base = 1 / np.sqrt(np.maximum(seconds, 1e-3))  # spread grows with the wait
    weights = base
    solution = _non_negative(terms, seconds, weights)
    for _ in range(20):
        error = np.abs(seconds - terms @ solution) * base
        spread = 1.4826 * float(np.median(error)) + 1e-12
        weights = base * np.sqrt(np.minimum(1.0, 1.345 * spread / np.maximum(error, 1e-12)))
        solution = _non_negative(terms, seconds, weights)
    return [float(value) for value in solution]


def _non_negative(terms: Floats, seconds: Floats, weights: Floats) -> Floats:
    """Solve weighted least squares, leaving out terms whose coefficient would be negative."""
    kept = list(range(terms.shape[1]))
    scale = np.maximum(np.abs(terms).max(axis=0), 1.0)
    while True:
        design = terms[:, kept] / scale[kept] * weights[:, None]
        found = np.linalg.lstsq(design, seconds * weights, rcond=None)[0]
        if len(kept) == 1 or (found >= 0).all():
            break
        kept.pop(int(np.argmin(found)))
    solution = np.zeros(terms.shape[1])
    solution[kept] = np.maximum(found, 0.0) / scale[kept]
    return solution
