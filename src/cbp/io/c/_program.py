"""The program that runs an exported file for `verify_export`: its text, how it is compiled, what it takes.

It reads messages from its standard input, and answers on its standard output, in bytes with the little end first
whatever the machine, so that it may run in an emulator: 'p' and a row of inputs is answered with outputs; 't', a number
of rows in 4 bytes, a learning rate in 8, inputs and targets with the objective in 8 and all parameters.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass

from cbp.errors import ExportError

SECONDS = 600
"""After so long a program is taken to hang."""

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
@MEMORY@
static int predict(void) {
    int i;
    for (i = 0; i < @UPPER@_INPUTS; i++)
        if (!get(&x[i], (int)sizeof x[i])) return 1;
    @NAME@_predict(@PARAMS@x, y, work);
    for (i = 0; i < @UPPER@_OUTPUTS; i++) put(&y[i], (int)sizeof y[i]);
    return 0;
}
@TRAIN@
int main(void) {
    int tag, failed = 0;
#ifdef _WIN32
    _setmode(_fileno(stdin), _O_BINARY);
    _setmode(_fileno(stdout), _O_BINARY);
#endif
@START@    while (!failed && (tag = getchar()) != EOF) failed = @CHOICE@;
    return failed;
}
"""

PREDICTS = {
    "MEMORY": """
static @NAME@_input x[@UPPER@_INPUTS];
static @NAME@_real y[@UPPER@_OUTPUTS], work[@UPPER@_WORK];
""",
    "PARAMS": "",
    "TRAIN": "",
    "START": "",
    "CHOICE": "tag == 'p' ? predict() : 1",
}
TRAINS = {
    "MEMORY": """
enum { ROWS = @ROWS@, WORK = @UPPER@_TRAIN_WORK(ROWS) + @UPPER@_WORK };
static @NAME@_input x[ROWS * @UPPER@_INPUTS];
static @NAME@_target t[ROWS * @UPPER@_TARGETS];
static @NAME@_real y[@UPPER@_OUTPUTS], params[@UPPER@_PARAMS], work[WORK];
""",
    "PARAMS": "params, ",
    "TRAIN": """
static int train(void) {
    uint32_t rows;
    double rate, loss;
    int i;
    if (!get(&rows, 4) || !get(&rate, 8) || rows > ROWS) return 1;
    for (i = 0; i < (int)rows * @UPPER@_INPUTS; i++)
        if (!get(&x[i], (int)sizeof x[i])) return 1;
    for (i = 0; i < (int)rows * @UPPER@_TARGETS; i++)
        if (!get(&t[i], (int)sizeof t[i])) return 1;
    loss = @NAME@_train_step(params, (int)rows, x, t, rate, work);
    put(&loss, 8);
    for (i = 0; i < @UPPER@_PARAMS; i++) put(&params[i], (int)sizeof params[i]);
    return 0;
}
""",
    "START": "    memcpy(params, @NAME@_initial, sizeof params);\n",
    "CHOICE": "tag == 'p' ? predict() : tag == 't' ? train() : 1",
}


@dataclass(frozen=True)
class Header:
    """What the header of an exported file says: its path, the prefix of all names, its constants.

    Attributes
    ----------
    path, name : str
    sizes : dict of str to int
        The macros that are numbers, without the prefix.
    """

    path: str
    name: str
    sizes: dict[str, int]

    @classmethod
    def of(cls, file: str) -> Header:
        """Read the header that belongs to a C file."""
        path = f"{os.path.splitext(file)[0]}.h"
        with open(path, encoding="utf-8", errors="replace") as text:
            content = text.read()
        found = re.search(r"^void (\w+)_predict\(", content, re.MULTILINE)
        if not found:
            raise ExportError(f"{path} is no header that Network.export wrote")
        sizes = re.findall(rf"^#define {found[1].upper()}_(\w+) (\d+)\b", content, re.MULTILINE)
        return cls(path, found[1], {name: int(size) for name, size in sizes})

    @property
    def trains(self) -> bool:
        """Whether there is a train_step."""
        return "PARAMS" in self.sizes

    def main(self, rows: int) -> str:
        """Return the text of the program, for batches of at most so many rows."""
        text = MAIN
        for mark, part in (TRAINS if self.trains else PREDICTS).items():
            text = text.replace(f"@{mark}@", part)
        marks = {"HEADER": os.path.basename(self.path), "NAME": self.name, "UPPER": self.name.upper()}
        for mark, word in (marks | {"ROWS": str(rows)}).items():
            text = text.replace(f"@{mark}@", word)
        return text


@dataclass(frozen=True)
class Compiler:
    """A C compiler: the words of its command, and its flags."""

    command: tuple[str, ...]
    flags: tuple[str, ...]

    @classmethod
    def find(cls, command: str | None, flags: str | Sequence[str]) -> Compiler:
        """Return the compiler that is named, or else this system's."""
        named = [command] if command else [os.environ.get("CC"), sysconfig.get_config_var("CC"), *DEFAULTS]
        for words in (tuple(shlex.split(name)) for name in named if name):
            if shutil.which(words[0]):
                return cls(words, tuple(words_of(flags)))
        raise ExportError(f"there is no C compiler called {command}" if command else "there is no C compiler here")

    @property
    def is_microsofts(self) -> bool:
        """Whether its options begin with a slash."""
        return os.path.splitext(os.path.basename(self.command[0]))[0].lower() == "cl"

    def compile(self, source: str, to: str, folder: str) -> None:
        """Compile a file to an object; headers are in the folder."""
        if self.is_microsofts:
            run([*self.command, "/nologo", *self.flags, "/c", f"/I{folder}", source, f"/Fo{to}"])
            return
        extra = ["-fstack-usage"] if self._tells_stack() else []
        run([*self.command, *self.flags, *extra, f"-I{folder}", "-c", source, "-o", to])

    def link(self, objects: Sequence[str], to: str) -> None:
        """Link objects to a program."""
        output = [f"/Fe{to}"] if self.is_microsofts else ["-o", to]
        run([*self.command, *(["/nologo"] if self.is_microsofts else self.flags), *objects, *output])

    def _tells_stack(self) -> bool:
        done = subprocess.run([*self.command, "--version"], capture_output=True, text=True, check=False)
        return "Free Software Foundation" in done.stdout

    def sizes(self, made: str) -> tuple[int, int] | None:
        """Return the bytes of code and constants, and of variables, of an object; None where nothing tells."""
        name = re.sub(r"(gcc|g\+\+|clang(\+\+)?|cc|c\+\+)(-[\d.]+)?(\.exe)?$", "size", self.command[0])
        if os.path.basename(name) == "musl-size":  # musl-gcc is the system's compiler with another library
            name = "size"
        if self.is_microsofts or not name.endswith("size") or not shutil.which(name):
            return None
        text, data, bss = map(int, run([name, made]).decode().split("\n")[1].split()[:3])
        return text + data, data + bss

    @staticmethod
    def stack(made: str) -> int | None:
        """Return the bytes of stack of all functions of an object together; None where the compiler did not tell."""
        path = f"{os.path.splitext(made)[0]}.su"
        if not os.path.exists(path):
            return None
        with open(path, encoding="utf-8") as file:
            return sum(int(line.split("\t")[1]) for line in file)

    def __str__(self) -> str:
        return shlex.join([*self.command, *self.flags])


DEFAULTS = ("cc", "gcc", "clang", "cl")


def words_of(text: str | Sequence[str]) -> list[str]:
    """Return the words of a command line, or a list as it is."""
    return shlex.split(text) if isinstance(text, str) else list(text)


def run(command: Sequence[str], given: bytes | None = None) -> bytes:
    """Run a program; return what it printed. `ExportError` says what it complained of."""
    try:
        done = subprocess.run(command, input=given, capture_output=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ExportError(f"{shlex.join(command)} cannot be run: {error}") from None
    if done.returncode:
        complaint = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise ExportError(f"{shlex.join(command)} failed with status {done.returncode}: {complaint}")
    return done.stdout
