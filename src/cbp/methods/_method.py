"""The base of the full-batch methods, and the state of one under way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from cbp._arguments import real, whole
from cbp._configured import Configured
from cbp.errors import unknown

if TYPE_CHECKING:
    from cbp._typing import Array
    from cbp.methods._objective import Objective

MAX_FAIL = 6


@dataclass
class MethodState:
    """What a method remembers from one step to the next; it lives with the network, and is saved with it.

    A step that is broken off must leave no trace: vectors are replaced by others, never written into.

    Attributes
    ----------
    iterations : int
        Steps made so far; the framework counts them.
    numbers : dict of str to float
        Numbers that the next step needs: finite ones.
    vectors : dict of str to ndarray, shape (n_params,) or (rows, n_params)
        Vectors that it needs, float64.
    cache : dict
        What `begin` found out anew and the next step needs; not saved.
    figures : dict of str to float
        What the last step has to tell, for the History: not part of what is saved.
    stop : str
        Why the training is over, in a few words ("minimum gradient"), or "" while it is not; not saved.
    """

    iterations: int = 0
    numbers: dict[str, float] = field(default_factory=dict)
    vectors: dict[str, Array] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    cache: dict[str, Any] = field(default_factory=dict, repr=False)
    stop: str = ""

    def begun(self) -> MethodState:
        """Return the same for a new training: what is not saved is empty, and what this one holds of it is let go."""
        self.cache.clear()
        return self.lasting()

    def lasting(self) -> MethodState:
        """Return a copy of what is saved."""
        return MethodState(self.iterations, {**self.numbers}, {**self.vectors})

    def following(self) -> MethodState:
        """Return the same for the next step to work on: it changes nothing of this one but the cache."""
        return MethodState(self.iterations, {**self.numbers}, {**self.vectors}, {}, self.cache)


class Method(Configured):
    """Base of the full-batch methods: ways to train on all rows at once.

    Two of them are equal if they are of one class and have equal attributes, which cannot be changed. All of them
    have `max_fail`: where there are validation data, training ends after so many steps in a row without a new
    smallest val_loss, and the network goes back to the parameters of the smallest; None is never.
    """

    kind = "a method"
    name: ClassVar[str]
    """What `fit` knows it by."""
    choices: ClassVar[dict[str, tuple[str, ...]]] = {}
    """What arguments may be that are words."""
    needs: ClassVar[dict[str, tuple[str, ...]]] = {}
    """Vectors of its state, (n_params,), and the numbers and vectors that are there where one of them is."""
    max_fail: int | None

    def __init_subclass__(cls) -> None:
        cls.fields = {**cls.fields}
        cls.fields.setdefault("max_fail", MAX_FAIL)
        cls._describe()

    def _checked(self, name: str, value: Any) -> Any:
        """Return the value of an argument as it is kept: words of `choices`, whole numbers or others from 0 on."""
        default = self.fields[name]
        if name == "max_fail":
            return None if value is None else whole(value, name, 1)
        if name in self.choices:
            if value not in self.choices[name]:
                raise unknown(name, value, self.choices[name])
            return value
        if isinstance(default, str):
            return value
        if isinstance(default, bool):
            if not isinstance(value, bool):
                raise TypeError(f"{name} must be True or False, not {value!r}")
            return value
        return whole(value, name, 0) if isinstance(default, int) else real(value, name, low=0.0)

    def check(self, state: MethodState, n: int) -> None:
        """Refuse a state, read from a file, that this method cannot have left for a network of `n` parameters."""
        there = state.numbers.keys() | state.vectors.keys()
        for name, needed in self.needs.items():
            if name in state.vectors and not (state.vectors[name].shape == (n,) and there >= {*needed}):
                raise self._other()

    def _other(self) -> ValueError:
        return ValueError(f"the state is not one that {type(self).__name__} leaves")

    def begin(self, objective: Objective, state: MethodState) -> float:
        """Prepare for steps from the network's parameters as they are, and return J there.

        Called at the beginning of every training, with the state of the last one: stopping and going on must give the
        bits of never having stopped. Everything that follows from parameters and data is computed anew and kept in
        `state.cache`, or computed by `step`.
        """
        raise NotImplementedError

    def step(self, objective: Objective, state: MethodState) -> float:
        """Make one step, set `state.figures`, and `state.stop` when there is no point in another; return J after it.

        The parameters change once, by `Objective.accept`, or not at all. Where there was no point in this one already
        it makes none, and says so as it did after the one before.
        """
        raise NotImplementedError
