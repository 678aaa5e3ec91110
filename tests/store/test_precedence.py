"""Answers go before work in the background, which still gets on."""

from threading import Thread

import pytest
from phasewise_store.precedence import Precedence

LONG_S = 60.0


def test_work_waits_until_nobody_is_being_answered() -> None:
    """Two answers overlap; work begins behind the last one."""
    precedence = Precedence(most_s=LONG_S)
    done: list[int] = []
    work = Thread(target=lambda: done.extend(precedence.between([1, 2])))
    with precedence.answering():
        with precedence.answering():
            work.start()
        work.join(0.05)
        assert (work.is_alive(), done) == (True, [])
    work.join(LONG_S / 2)
    assert (work.is_alive(), done) == (False, [1, 2])


def test_work_goes_on_beside_answers_that_do_not_end() -> None:
    """After a wait, work goes on."""
    precedence = Precedence(most_s=0.001)
    with precedence.answering():
        assert list(precedence.between(range(100))) == list(range(100))


def test_an_answer_that_fails_is_one_no_more() -> None:
    """Work does not wait for it."""
    precedence = Precedence(most_s=LONG_S)
    with pytest.raises(ValueError, match="the page"), precedence.answering():
        raise ValueError("the page")
    assert list(precedence.between([1])) == [1]
