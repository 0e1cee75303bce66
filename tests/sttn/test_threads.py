"""Work that is done before it is asked for: a clip's pictures, the flow between frames."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from sttn.threads import made_ahead


def test_batches_are_made_ahead_in_order_and_no_farther_than_is_said():
    """A GPU's memory holds a few batches that wait, not all that could be rendered."""
    asked = []

    def given():
        for number in range(7):
            asked.append(number)
            yield number

    with ThreadPoolExecutor(1) as thread:
        made = made_ahead(given(), lambda number: 10 * number, thread, 2)
        assert next(made) == (0, 0)
        assert asked == [0, 1, 2]
        assert list(made) == [(number, 10 * number) for number in range(1, 7)]


def test_what_goes_wrong_ahead_is_told_when_its_turn_comes():
    """A photograph that cannot be rendered ends a run as it does on a CPU."""
    with ThreadPoolExecutor(1) as thread:
        made = made_ahead([2, 1, 0, 1], lambda number: 2 // number, thread, 3)
        assert [next(made), next(made)] == [(2, 1), (1, 2)]
        with pytest.raises(ZeroDivisionError):
            next(made)
