"""Tables of cases in one test: where a case is one short comparison, pytest's own work for an item is most of its time.

`each_of` stands where pytest.mark.parametrize would. Every case runs, and a failure names all that failed. What one
wants to choose by name (`-k`), to skip or to give a fixture of its own stays an item of pytest.mark.parametrize.
"""

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

SHOWN = 5


def label(value: Any) -> str:
    """Name a value as pytest would, and a tuple by its elements."""
    return "-".join(map(label, value)) if isinstance(value, tuple) else str(value)


def each_of(names: str, table: Iterable[Any], ids: Callable[[Any], str] = label) -> Callable[[Callable], Callable]:
    """Run a test with every row of a table, in one item.

    Parameters
    ----------
    names
        Arguments that a row gives, with commas between them. With one name a row is its value.
    table
        The rows; none is an error.
    ids
        What a value is called in the message.

    Raises
    ------
    ExceptionGroup
        Some cases failed: their names are in its message, the first few errors in it.
    """
    arguments = [name.strip() for name in names.split(",")]
    cases = [dict(zip(arguments, row if len(arguments) > 1 else [row], strict=True)) for row in table]
    if not cases:
        raise ValueError(f"no case for {names}")

    def decorate(test: Callable) -> Callable:
        @wraps(test)
        def every(**fixtures: Any) -> None:
            failed = {}
            for number, case in enumerate(cases):
                try:
                    test(**case, **fixtures)
                except Exception as error:
                    name = ", ".join(f"{argument}={ids(value)}" for argument, value in case.items())
                    error.add_note(f"case {number}: {name}")
                    failed[f"{number}: {name}"] = error
            if failed:
                text = f"{len(failed)} of {len(cases)} cases failed: {'; '.join(failed)}"
                raise ExceptionGroup(text, list(failed.values())[:SHOWN])

        wanted = inspect.signature(test).parameters
        left = [value for name, value in wanted.items() if name not in arguments]
        if len(left) != len(wanted) - len(arguments):
            raise ValueError(f"{test.__name__} does not take {names}")
        every.__signature__ = inspect.Signature(left)
        return every

    return decorate
