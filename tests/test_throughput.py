from __future__ import annotations

import threading

import pytest

from readavatar.throughput import prefetch


def test_items_come_in_order_and_all_of_them():
    assert list(prefetch(iter(range(50)))) == list(range(50))
    assert list(prefetch(iter([]))) == []
    assert list(prefetch(iter([None, 0]))) == [None, 0]


def test_the_next_item_is_made_while_one_is_used():
    made = [threading.Event() for _ in range(3)]

    def items():
        for index, event in enumerate(made):
            event.set()
            yield index

    numbers = prefetch(items())
    assert next(numbers) == 0
    assert made[1].wait(timeout=10)
    assert not made[2].is_set()
    assert list(numbers) == [1, 2]


def test_an_error_comes_where_the_item_would_have():
    def items():
        yield 1
        raise OSError("gone")

    numbers = prefetch(items())
    assert next(numbers) == 1
    with pytest.raises(OSError, match="gone"):
        next(numbers)


def test_one_who_stops_early_leaves_no_thread_behind():
    numbers = prefetch(iter(range(1000)))
    next(numbers)
    numbers.close()
    assert not [each for each in threading.enumerate() if each.name.startswith("readavatar-ahead")]
