"""Proof that an exported file is the network: it is compiled, run on many rows, and its outputs compared as bytes.

The program reads rows from its standard input and writes outputs to its standard output, little end first whatever the
machine, so it may run in an emulator.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cbp.errors import ExportError

if TYPE_CHECKING:
    from cbp._typing import Array, Path
    from cbp.network import Network

SECONDS = 600
MAIN = """\
#include "@HEADER@"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#ifdef _WIN32
#include <fcntl.h>
#include <io.h>
#endif

static int get(void *to, int size) {
    unsigned char bytes[8];
    uint64_t u = 0;
    int i;
    if (fread(bytes, 1, (size_t)size, stdin) != (size_t)size) return 0;
    for (i = size; i > 0; i--) u = u << 8 | bytes[i - 1];
    if (size == 4) {
        const uint32_t half = (uint32_t)u;
        memcpy(to, &half, 4);
    } else {
        memcpy(to, &u, 8);
    }
    return 1;
}

static void put(const void *from, int size) {
    uint64_t u = 0;
    int i;
    if (size == 4) {
        uint32_t half;
        memcpy(&half, from, 4);
        u = half;
    } else {
        memcpy(&u, from, 8);
    }
    for (i = 0; i < size; i++, u >>= 8) putchar((int)(u & 255));
}

static @NAME@_input x[@UPPER@_INPUTS];
static @NAME@_real y[@UPPER@_OUTPUTS], work[@UPPER@_WORK];

int main(void) {
    int i;
#ifdef _WIN32
    _setmode(_fileno(stdin), _O_BINARY);
    _setmode(_fileno(stdout), _O_BINARY);
#endif
    for (;;) {
        for (i = 0; i < @UPPER@_INPUTS; i++)
            if (!get(&x[i], (int)sizeof x[i])) return 0;
        @NAME@_predict(x, y, work);
        for (i = 0; i < @UPPER@_OUTPUTS; i++) put(&y[i], (int)sizeof y[i]);
    }
}
"""


@dataclass(frozen=True)
class Report:
    """What `verify_export` found: all bytes are the same.

    Attributes
    ----------
    rows : int
        How many rows were compared.
    outputs : int
        How many numbers.
    compiler : str
        The command, with its flags.
    flash : int or None
        Bytes of code and constants of the exported file; None where there is no ``size``.
    ram : int or None
        Bytes of workspace, inputs and outputs, and of the stack where the compiler tells.
    stack : int or None
        Bytes of stack, at most; None where the compiler does not tell.
    """

    rows: int
    outputs: int
    compiler: str
    flash: int | None
    ram: int | None
    stack: int | None

    def __str__(self) -> str:
        lines = [f"the same bytes for {self.rows:,} rows, {self.outputs:,} outputs", f"compiled by {self.compiler}"]
        if self.flash is not None:
            lines.append(f"flash: {self.flash:,} bytes of code and constants")
        if self.ram is not None:
            lines.append(f"RAM: {self.ram:,} bytes of workspace, input, output"
                         + ("" if self.stack is None else f", and at most {self.stack:,} of stack"))  # fmt: skip
        return "\n".join(lines)


def verify_export(
    net: Network,
    path: Path,
    *,
    rows: int | Array = 2000,
    compiler: str | None = None,
    flags: str | Sequence[str] = ("-O2",),
    wrapper: str | Sequence[str] = (),
    seed: int = 0,
) -> Report:
    """Compile what `Network.export` wrote, and show that it computes what the network does, byte for byte."""
    file = os.fspath(path)
    header = f"{os.path.splitext(file)[0]}.h"
    name = _name(header)
    X = sample(net, rows, seed) if isinstance(rows, int) else np.asarray(rows)
    command = [*shlex.split(compiler or find_compiler()), *_words(flags)]
    with tempfile.TemporaryDirectory(prefix="cbp-") as folder:
        program, main = os.path.join(folder, "program.exe"), os.path.join(folder, "main.c")
        with open(main, "w", encoding="ascii") as text:
            text.write(
                MAIN.replace("@HEADER@", os.path.basename(header))
                .replace("@NAME@", name)
                .replace("@UPPER@", name.upper())
            )
        _run([*command, f"-I{os.path.dirname(os.path.abspath(file))}", main, os.path.abspath(file), "-o", program])
        got = _run([*_words(wrapper), program], X.astype(X.dtype.newbyteorder("<")).tobytes())
    wanted = net.predict(X, check_finite=False)
    found = np.frombuffer(got, wanted.dtype.newbyteorder("<")).astype(wanted.dtype)
    if found.size != wanted.size:
        raise ExportError(f"{file}: the program wrote {found.size} numbers, not {wanted.size}")
    compare(file, X, wanted, found.reshape(wanted.shape))
    return Report(len(X), wanted.size, " ".join(command), None, None, None)


def compare(file: str, X: Array, wanted: Array, found: Array) -> None:
    """Raise `ExportError` for the first row that differs; the payload of a NaN does not count."""
    bits = f"u{wanted.dtype.itemsize}"
    same = (wanted.view(bits) == found.view(bits)) | (np.isnan(wanted) & np.isnan(found))
    if same.all():
        return
    row, column = (int(i) for i in np.argwhere(~same)[0])
    raise ExportError(
        f"{file} differs from the network in {int((~same.all(axis=1)).sum())} of {len(X)} rows; first in row {row}, "
        f"output {column}: {found[row, column]!s} instead of {wanted[row, column]!s}, for the inputs {X[row].tolist()}"
    )


def sample(net: Network, rows: int, seed: int) -> Array:
    """Return rows to compare on: normal numbers of all sizes, and the edges of the range."""
    rng, spec = np.random.default_rng(seed), net._spec
    wide = net.input_scaling is not None
    dtype = np.dtype(np.float64) if wide else spec.dtype
    limits = np.finfo(spec.dtype)
    size = 10.0 ** rng.uniform(-3, 3, (rows, 1))
    X = rng.normal(0, 1, (rows, spec.n_in)) * size
    edges = [
        0.0,
        -0.0,
        limits.smallest_subnormal,
        -limits.tiny,
        limits.max / 4,
        -limits.max / 4,
        limits.eps,
        np.inf,
        -np.inf,
        np.nan,
    ]
    X[: rows // 8] *= 10.0 ** rng.uniform(-30, 30, (rows // 8, 1))
    place = rng.random((rows, spec.n_in)) < rng.choice([0, 0, 0, 0.5, 1], (rows, 1))
    X[place] = rng.choice(edges[:7], int(place.sum()))
    for row, edge in enumerate(edges[:rows]):
        X[row] = edge
    X = X.astype(dtype)
    return X


def find_compiler() -> str:
    """Return the command of this system's C compiler."""
    for command in (os.environ.get("CC"), sysconfig.get_config_var("CC"), "cc", "gcc", "clang", "cl"):
        if command and shutil.which(shlex.split(command)[0]):
            return command
    raise ExportError("there is no C compiler here: name one with compiler=")


def _words(text: str | Sequence[str]) -> list[str]:
    return shlex.split(text) if isinstance(text, str) else list(text)


def _name(header: str) -> str:
    with open(header, encoding="ascii") as file:
        found = re.search(r"^void (\w+)_predict\(", file.read(), re.MULTILINE)
    if not found:
        raise ExportError(f"{header} is no header that Network.export wrote")
    return found[1]


def _run(command: list[str], given: bytes | None = None) -> bytes:
    done = subprocess.run(command, input=given, capture_output=True, timeout=SECONDS, check=False)
    if done.returncode:
        raise ExportError(f"{shlex.join(command)} failed:\n{done.stderr.decode(errors='replace')}")
    return done.stdout
