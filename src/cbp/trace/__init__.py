"""One update of a network as the textbook writes it: `Network.trace` makes a `Trace`.

    dialects    notations: cbp's own and those of derivations A to E, as tables
    numbers     every number of the update, from the core, and the numeric checks
    symbols     what a formula is made of
    steps       one number with its formula; a section of them
    costs limits      formulas of what outputs cost; of what holds an update back: penalties, max_norm
    formulas    every number's formula in a dialect
    text html picture     three ways to show them

Arrows go up in this list. Optional packages are imported on use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cbp._arguments import real, whole
from cbp.errors import optional
from cbp.trace import dialects, html, picture, text
from cbp.trace.formulas import Formulas
from cbp.trace.numbers import Check, Numbers
from cbp.trace.symbols import with_numbers, with_symbols

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cbp._state import State
    from cbp._typing import ArrayLike
    from cbp.trace.steps import Section, Step

__all__ = ["Check", "Trace"]


class Trace:
    """Every number of one update with its formula; `Network.trace` makes it, `print` shows it, a notebook typesets it.

    Attributes
    ----------
    dialect : str
        "cbp", or "A" to "E".
    network, title : str
        What the network is; and what was done: dialect, number of samples, learning rate, loss before and after.
    loss, new_loss : float
        The objective before the update and after it; in dialect E the biases stay what they are, 0.
    learning_rate : float
        The step length.

    Examples
    --------
    >>> import cbp
    >>> net = cbp.Network([1, 1], output="identity", dtype="float64", seed=0)
    >>> net.params[:] = [1, 2]
    >>> print(net.trace([3], [5], learning_rate=0.1, dialect="C"))
    Network(1 > 1 identity, half_squared_error, float64)
    one update in derivation C: 1 sample, learning rate 0.1, loss 2 -> 0
    ...
    """

    def __init__(
        self, net: State, X: ArrayLike, y: ArrayLike, weight: ArrayLike | None, learning_rate: float, dialect: Any
    ) -> None:
        found = dialects.find(dialect)
        self.numbers = Numbers(net, X, y, weight, real(learning_rate, "learning_rate"))
        self._formulas = Formulas(self.numbers, found)
        self.dialect, self.learning_rate = found.name, self.numbers.learning_rate
        self.has_biases = found.bias != "none"
        self.loss, self.new_loss = self.numbers.loss, self.numbers.loss_after(self.has_biases)
        rows = "1 sample" if self.numbers.m == 1 else f"{self.numbers.m} samples"
        self.network = str(net._spec)
        self.title = (
            f"one update in {found.title}: {rows}, learning rate {self.learning_rate:g}, "
            f"loss {self.loss:.6g} -> {self.new_loss:.6g}"
        )
        self._checks: dict[tuple[str, int, tuple[int, ...]], Check] = {}

    def sections(self) -> Iterator[Section]:
        """Yield quantity by quantity and layer by layer what `records` lists; steps are made when asked for."""
        return self._formulas.sections()

    def check(self, step: Step) -> Check | None:
        """Return the numeric check of a delta or of an entry of the gradient that is not fixed, None for all else."""
        if step.quantity not in ("delta", "gradient") or step.remark == "fixed":
            return None
        key = step.quantity, step.layer, step.indices
        if key not in self._checks:
            check = self.numbers.check_delta if step.quantity == "delta" else self.numbers.check_gradient
            self._checks[key] = check(step.layer, *step.indices)
        return self._checks[key]

    def records(self) -> list[dict[str, Any]]:
        """Return every number as a dict.

        Returns
        -------
        list of dict
            With the keys

            - `quantity`: input, net input, activation, target, cost, penalty, delta, gradient or update; of weights
              that are too long, length, factor and shortening;
            - `layer`: as in the book, 0 to L; `sample`: the row, from 0, or None;
            - `indices`: where cbp keeps the number: (row, unit) in `net.activations[layer]` and the like, (from, to) in
              `net.layers[layer - 1].theta` for gradient, update and shortening, row 0 being the bias;
            - `symbol`, `formula`, `numbers`: its name in the dialect, what it is made of, the same with numbers;
              a sum of more than six terms shows the first three and the last;
            - `value`; NaN of a target that is missing;
            - `remark`: "fixed" or "missing target" where this is why the number is what it is, else empty;
            - `numeric`, `step`, `error`: of delta and gradient the derivative by central differences, the step h that
              was taken, and the relative error; else None.

        Examples
        --------
        >>> import cbp
        >>> net = cbp.Network([2, 1], output="identity", dtype="float64", seed=0)
        >>> net.params[:] = [0.5, 1, 2]
        >>> records = net.trace([3, 4], [11], dialect="C").records()
        >>> [record["symbol"] for record in records]
        ['a_1^1', 'a_2^1', 'z_1^2', 'a_1^2', 'y_1', 'C', 'δ_1^2', '∂C/∂b_1^2', '∂C/∂w_11^2', '∂C/∂w_12^2', 'b_1^2', ...]
        >>> records[2]["formula"], records[2]["numbers"], records[2]["value"]
        ('b_1^2 + w_11^2·a_1^1 + w_12^2·a_2^1', '0.5 + 1·3 + 2·4', 11.5)
        """
        return [self._record(section.step(at)) for section in self.sections() for at in range(section.n)]

    def _record(self, step: Step) -> dict[str, Any]:
        check = self.check(step)
        return {
            "quantity": step.quantity,
            "layer": step.layer,
            "sample": step.sample,
            "indices": step.indices,
            "symbol": str(step.symbol),
            "formula": with_symbols(step.formula),
            "numbers": with_numbers(step.formula),
            "value": step.value,
            "remark": step.remark,
            "numeric": None if check is None else check.numeric,
            "step": None if check is None else check.step,
            "error": None if check is None else check.error,
        }

    def to_dataframe(self) -> Any:
        """Return `records` as a pandas DataFrame.

        Raises
        ------
        ImportError
            pandas is not installed.

        Examples
        --------
        >>> import cbp
        >>> frame = cbp.Network([2, 3, 1], seed=0).trace([0, 1], 1).to_dataframe()  # doctest: +SKIP
        >>> frame[frame.quantity == "gradient"][["symbol", "value", "error"]]  # doctest: +SKIP
        """
        return optional("pandas", "a data frame", "pandas").DataFrame(self.records())

    def to_text(self, max_rows: int = 12) -> str:
        """Return the trace as text, 100 columns wide.

        Parameters
        ----------
        max_rows : int, default 12
            How many numbers of a section are shown at most; a line says how many there are more.

        Examples
        --------
        >>> import cbp
        >>> net = cbp.Network([2, 3, 1], seed=0)
        >>> text = net.trace([0, 1], 1).to_text(max_rows=2)
        >>> text.splitlines()[11]
        '    ... and 1 more: see max_rows, or records()'
        """
        return text.render(self, whole(max_rows, "max_rows", 1))

    def to_html(self, max_rows: int = 12) -> str:
        """Return the trace as a piece of HTML with MathML, which browsers typeset without a network or scripts.

        Parameters
        ----------
        max_rows : int, default 12
            As for `to_text`.

        Examples
        --------
        >>> import cbp
        >>> net = cbp.Network([2, 3, 1], seed=0)
        >>> net.trace([0, 1], 1).to_html().count("<table>") > 5
        True
        """
        return html.render(self, whole(max_rows, "max_rows", 1))

    def plot(self, ax: Any = None, *, sample: int = 0) -> Any:
        """Draw the network: activations in the units, every weight old → new on its line.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; default: a new figure of pyplot.
        sample : int, default 0
            The row whose activations are shown.

        Returns
        -------
        matplotlib Axes

        Raises
        ------
        ValueError
            The network is too large to be read as a picture, or there is no such sample.
        ImportError
            matplotlib is not installed.

        Examples
        --------
        >>> import cbp
        >>> ax = cbp.Network([2, 3, 1], seed=0).trace([0, 1], 1).plot()  # doctest: +SKIP
        >>> ax.figure.savefig("update.png")  # doctest: +SKIP
        """
        return picture.draw(self, ax, whole(sample, "sample", 0, self.numbers.m - 1))

    def __repr__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        return self.to_html()
