"""A network as one C99 file without dependencies: `export` writes it, `verify_export` proves that it is the network.

The formulas are those the library itself is compiled from: they are read from its tables and kernels (_words.py,
_library.py) and written as plain C (_writer.py). _plan.py lays out what a network computes, _predict.py and _train.py
write its functions, _file.py the files. Arithmetic and loops that all networks share are in _arithmetic.py, _loops.py.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cbp.io import replacing
from cbp.io.c._eight import quantized
from cbp.io.c._file import files, prefix_of
from cbp.io.c._plan import plan_of
from cbp.io.c._verify import Report, verify_export
from cbp.network import network_of

if TYPE_CHECKING:
    from cbp._typing import Path
    from cbp.network import Network

__all__ = ["Report", "export", "quantized", "verify_export"]


def export(
    net: Network, path: Path, *, name: str | None = None, train: bool = False, weights: str | None = None
) -> None:
    """Write a network as C99: a file, and its header beside it.

    The C file needs nothing but a compiler: no library beyond ``memcpy`` and its like, no memory but what the caller
    passes, no variables that keep anything. Its formulas are those of the core, so it computes the same bits as
    `Network.predict`, on every machine and with every compiler; one that would change them (-ffast-math) is refused by
    an ``#error``. It is C++ as well. Names begin with the name of the file, which stands for ``model`` here:

    - ``MODEL_INPUTS``, ``MODEL_OUTPUTS``, ``MODEL_WORK``: how many numbers the arrays of ``model_predict`` hold;
    - ``model_real``: float or double, as `Network.dtype` is; ``model_input``: the same, but double where inputs are
      scaled, since the network scales in double before it rounds;
    - ``void model_predict(const model_input *x, model_real *y, model_real *work)``;
    - ``model_classes[MODEL_OUTPUTS][]``: the names in ``net.metadata["classes"]``, if they are there; those in
      ``net.metadata["features"]`` become a comment.

    Parameters
    ----------
    net : Network
    path : str or path-like
        A name that ends in .c; the header is called the same, with .h. Existing files are replaced.
    name : str, optional
        What all names in C begin with. Default: the file's own name, with _ for what a name in C cannot have.
    train : bool, default False
        Write a function that trains, too. Parameters belong to the caller then: ``model_predict`` takes
        ``const model_real *params`` before all else, and ``model_initial[MODEL_PARAMS]`` has those of now.
        ``double model_train_step(model_real *params, int rows, const model_input *x, const model_target *y,
        double learning_rate, model_real *work)`` makes the step of `Network.train_step` and returns the objective
        before it, with ``MODEL_TRAIN_WORK(rows)`` numbers of workspace; y has ``MODEL_TARGETS`` a row, ``model_target``
        being double where targets are scaled. Penalties, fixed parameters, frozen layers, max_norm and missing targets
        take part; dropout and noise do not, as in `Network.train_step` without `noise`.
    weights : {"int8"}, optional
        Write weights as whole numbers of 8 bits, times a scale for each unit: about a quarter of the flash for floats,
        an eighth for doubles. What is computed is then what `cbp.io.c.quantized` makes of the network does, to the last
        bit; its loss is what that costs. ``MODEL_WEIGHT_BITS`` is 8.

    Raises
    ------
    ValueError
        A parameter is not finite; a row-wise activation has no counterpart in C; `name` is no name in C. With `train`:
        the loss is a function of your own, all layers are frozen, or weights have 8 bits.
    RuntimeError
        A scaling is not learned yet.
    OSError
        A file cannot be written; those that were there before are untouched.

    See Also
    --------
    cbp.verify_export : compile the file and compare it with the network.

    Examples
    --------
    >>> import cbp, os, tempfile
    >>> net = cbp.Network([4, 8, 3], activation="tanh", output="softmax", seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     net.export(os.path.join(folder, "iris.c"))
    ...     with open(os.path.join(folder, "iris.h")) as file:
    ...         print(file.read().partition("#define IRIS_H")[2].partition("typedef")[0].strip())
    #ifdef __cplusplus
    extern "C" {
    #endif
    <BLANKLINE>
    #define IRIS_INPUTS 4
    #define IRIS_OUTPUTS 3
    #define IRIS_WORK 8 /* numbers that the workspace of predict must hold */
    """
    net = network_of(net)
    file = os.fspath(path)
    header = f"{os.path.splitext(file)[0]}.h"
    if weights not in (None, "int8"):
        raise ValueError(f"weights must be 'int8' or None, not {weights!r}")
    source, declarations = files(
        plan_of(net, weights == "int8"), prefix_of(file, name), os.path.basename(header), train
    )
    with replacing(file) as c, replacing(header) as h:
        h.write(declarations.encode())
        c.write(source.encode())
