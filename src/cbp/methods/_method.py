"""The base of the full-batch methods, and the state of one under way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from cbp._typing import Array
    from cbp.methods._objective import Objective


@dataclass
class MethodState:
    """What a method remembers from one step to the next; it lives with the network, and is saved with it.

    Attributes
    ----------
    iterations : int
        Steps made so far.
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
    cache: dict[str, Any] = field(default_factory=dict)
    stop: str = ""


class Method:
    """A way to train on all rows at once."""

    name: ClassVar[str]
    fields: ClassVar[dict[str, float | int | str | bool | None]]

    def __init__(self, **named: Any) -> None:
        for name, default in self.fields.items():
            setattr(self, name, self._checked(name, named.pop(name, default)))
        if named:
            raise TypeError(f"{type(self).__name__}: no such argument: {', '.join(named)}")

    def _checked(self, name: str, value: Any) -> Any:
        return value

    def begin(self, objective: Objective, state: MethodState) -> float:
        """Prepare for steps from the network's parameters as they are, and return J there.

        Called at the beginning of every training, with the state of the last one: stopping and going on must give the
        bits of never having stopped. Everything that follows from parameters and data is computed anew and kept in
        attributes of `state` that are not saved, or computed by `step`.
        """
        raise NotImplementedError

    def step(self, objective: Objective, state: MethodState) -> float:
        """Make one step, set `state.figures`, and `state.stop` when there is no point in another; return J after it.

        The network's parameters change once, by `Objective.accept`, or not at all.
        """
        raise NotImplementedError
