"""Values that are made when first asked for, and kept for a while."""

from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """Values made when first asked for; the least recently used are dropped. Threads may share it:
    who asks for a value that another thread is making waits for it.
    """

    def __init__(self, count: int, make: Callable[[Key], Value]) -> None:
        self._count, self._make = count, make
        self._values: OrderedDict[Key, Future[Value]] = OrderedDict()
        self._lock = Lock()

    def __getitem__(self, key: Key) -> Value:
        with self._lock:
            value = self._values.get(key)
            mine = value is None
            if value is None:
                value = self._values[key] = Future()
                if len(self._values) > self._count:
                    self._values.popitem(last=False)
            self._values.move_to_end(key)
        if mine:
            try:
                value.set_result(self._make(key))
            except BaseException as error:
                value.set_exception(error)
        return value.result()
