"""Objects that are their arguments: checked, fixed, comparable, printed, kept as JSON. Optimisers and methods are such.

A class says with `fields` which arguments it takes and what they are by default; the rest follows from that.
"""

from __future__ import annotations

import inspect
from typing import Any, ClassVar


class Configured:
    """Base of what is equal where the classes and the attributes are."""

    fields: ClassVar[dict[str, Any]] = {}
    """Names of the arguments and their defaults, in order."""
    limits_by_name: ClassVar[tuple[str, ...]] = ()
    """Arguments beside them, by name only: None, which is not shown, where they are not given."""
    changeable: ClassVar[tuple[str, ...]] = ()
    """Attributes that may be assigned."""
    kind: ClassVar[str] = "object"
    """What it is called in messages."""
    __signature__: ClassVar[inspect.Signature]
    _usual: ClassVar[dict[str, Any]]
    """Defaults as they are kept, of the class that has it for its own."""

    @classmethod
    def _describe(cls) -> None:
        """Make the signature from the arguments."""
        plain, named = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
        cls.__signature__ = inspect.Signature(
            [inspect.Parameter(name, plain, default=default) for name, default in cls.fields.items()]
            + [inspect.Parameter(name, named, default=None) for name in cls.limits_by_name]
        )

    def __init__(self, *args: Any, **named: Any) -> None:
        cls, kept = type(self), self.__dict__
        if "_usual" not in cls.__dict__:
            cls._usual = {}
        given, usual = self._given(args, named) if args or named else named, cls._usual
        for name in (*self.fields, *self.limits_by_name):
            if name in given:
                kept[name] = self._checked(name, given[name])
                continue
            if name not in usual:
                usual[name] = self._checked(name, self.fields.get(name))
            kept[name] = usual[name]
        self._check()

    def _given(self, args: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of a call by their names."""
        try:
            return self.__signature__.bind(*args, **named).arguments
        except TypeError as error:
            raise TypeError(f"{type(self).__name__}: {error}; it takes {self._names()}") from None

    def _check(self) -> None:
        """Refuse arguments that do not go together."""

    def _checked(self, name: str, value: Any) -> Any:
        """Return the value of an argument as it is kept, or refuse it."""
        raise NotImplementedError

    def _names(self) -> str:
        return ", ".join([*self.fields, *self.limits_by_name])

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.fields and name not in self.limits_by_name:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}; it has {self._names()}")
        if name in self.__dict__ and name not in self.changeable:
            raise AttributeError(f"{name} of {self.kind} cannot be changed; make a new one")
        self.__dict__[name] = self._checked(name, value)

    def get_config(self) -> dict[str, Any]:
        """Return the name and the attributes, as JSON can keep them; `cbp.optimizers.get` makes the same from it."""
        return {"name": type(self).__name__, **self._shown()}

    def _shown(self) -> dict[str, Any]:
        """Return the attributes, without those that are by name only and not given."""
        return {name: value for name, value in self.__dict__.items() if name in self.fields or value is not None}

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (type(self), self._shown())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._shown().items())})"


def _made(cls: type[Configured], arguments: dict[str, Any]) -> Configured:
    """Return one of a class, as a pickle wants it."""
    return cls(**arguments)
