"""A network as one C99 file without dependencies: `export` writes it, `verify_export` proves that it is the network.

The formulas are those the library itself is compiled from: they are read from its tables and kernels (_words.py,
_library.py) and written as plain C (_writer.py). _plan.py lays out what a network computes, _predict.py and _train.py
write its functions, _file.py the files. Arithmetic and loops that all networks share are in _arithmetic.py, _loops.py.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cbp.io import replacing
from cbp.io.c._file import files, prefix_of
from cbp.io.c._plan import plan_of
from cbp.io.c._verify import Report, verify_export

if TYPE_CHECKING:
    from cbp._typing import Path
    from cbp.network import Network

__all__ = ["Report", "export", "verify_export"]


def export(net: Network, path: Path, *, name: str | None = None, train: bool = False) -> None:
    """Write a network as C99: one file, and its header beside it.

    Parameters
    ----------
    net : Network
    path : str or path-like
        A name that ends in .c; the header is called the same, with .h. Existing files are replaced.
    name : str, optional
        What all names in C begin with. Default: the file's own name, with _ for what a name in C cannot have.
    train : bool, default False
        Whether the file has `train_step` too, and parameters that belong to the caller.
    """
    file = os.fspath(path)
    header = f"{os.path.splitext(file)[0]}.h"
    source, declarations = files(plan_of(net), prefix_of(file, name), os.path.basename(header), train)
    with replacing(file) as c, replacing(header) as h:
        h.write(declarations.encode("ascii"))
        c.write(source.encode("ascii"))
