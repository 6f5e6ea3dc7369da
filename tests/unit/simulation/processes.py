"""Processes of the shop as coroutines, driven step by step: whoever goes on next is chosen outside.

A task stands still at each pause. A process dies with all of its tasks: what they had not committed
is gone, what they had committed stays.
"""

from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from types import coroutine
from typing import Final


class ProcessDied(BaseException):
    """The end of a process in the middle of its work: nothing catches it."""


class ConnectionLost(Exception):
    """What whoever asked a process hears when that died."""


@coroutine
def pause(where: str) -> Generator[str, None, None]:
    """Stand still; `where` is told in the story."""
    yield where


class Task:
    """One coroutine of a process. `at` is where it stands; `ended` is told how it ended.

    `ended` gets None after a return, else what was raised, or ConnectionLost after a death.
    """

    __slots__ = ("_context", "at", "coro", "ended", "name", "process")

    def __init__(
        self,
        name: str,
        process: str,
        coro: Coroutine[str, None, None],
        ended: Callable[[Exception | None], None] | None = None,
    ) -> None:
        self.name: Final = name
        self.process: Final = process
        self.coro: Final = coro
        self.ended: Final = ended
        self.at = "start"
        self._context: Final[Context] = copy_context()

    def go_on(self) -> bool:
        """Up to the next pause; True when it has ended. Raises ProcessDied."""
        try:
            self.at = self._context.run(self.coro.send, None)
        except StopIteration:
            error = None
        except Exception as raised:  # noqa: BLE001 - handed on to whoever started the task
            error = raised
        else:
            return False
        if self.ended is not None:
            self.ended(error)
        elif error is not None:
            raise error
        return True

    def die(self) -> None:
        """The process is gone: an open transaction is rolled back, nothing else happens."""
        try:
            self._context.run(self.coro.throw, ProcessDied)
        except (ProcessDied, StopIteration):
            pass
        else:
            # What cleans up may not stand still: a dead process writes nothing more.
            self._context.run(self.coro.close)
        self.lose()

    def lose(self) -> None:
        """Tell whoever started it that there will be no answer."""
        if self.ended is not None:
            self.ended(ConnectionLost())


class Processes:
    """All tasks that have begun and not ended. `current` is the one that runs now."""

    def __init__(self) -> None:
        self.tasks: Final[list[Task]] = []
        self.current: Task | None = None
        self.deaths = 0

    def start(
        self,
        name: str,
        process: str,
        coro: Coroutine[str, None, None],
        ended: Callable[[Exception | None], None] | None = None,
    ) -> None:
        """Begin a task; it takes its first step when it is chosen."""
        self.tasks.append(Task(name, process, coro, ended))

    def step(self, task: Task) -> str:
        """Let one task go on to its next pause, its end, or the death of its process."""
        self.current = task
        try:
            if task.go_on():
                self.tasks.remove(task)
                return "ended"
        except ProcessDied:
            self.tasks.remove(task)
            task.lose()
            self.kill(task.process)
            return "died"
        finally:
            self.current = None
        return task.at

    def kill(self, process: str) -> int:
        """End a process; gives how many tasks died with it."""
        dying = [task for task in self.tasks if task.process == process]
        for task in dying:
            self.tasks.remove(task)
            task.die()
        self.deaths += 1
        return len(dying)
