"""Exported C on microcontrollers: emulated Cortex-M processors, with and without a floating-point unit, same bytes.

The program is that of docs/examples/cortex_m: vector table, 256 KB of flash, 16 KB of RAM, no C library. The C library
of cbp itself runs there too, in 512 KB of flash, with the headers and the mathematics of newlib and nothing else of it.
"""

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import cbp

EXAMPLE = Path(__file__).resolve().parents[1] / "docs/examples/cortex_m"
CC = "arm-none-eabi-gcc"
FLAGS = ["-std=c99", "-mthumb", "-Os", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-nostdlib"]
PROCESSORS = {
    "cortex-m3": ("mps2-an385", ["-mfloat-abi=soft"]),
    "cortex-m4": ("mps2-an386", ["-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"]),
    "cortex-m7": ("mps2-an500", ["-mfloat-abi=hard", "-mfpu=fpv5-d16"]),
}

pytestmark = pytest.mark.skipif(
    not (shutil.which(CC) and shutil.which("qemu-system-arm") and EXAMPLE.exists()),
    reason=f"needs {CC}, qemu-system-arm and the examples",
)


@pytest.fixture(scope="module")
def digits():
    """The digits, from 0 to 1, and a network that reads them."""
    datasets = pytest.importorskip("sklearn.datasets")
    X, y = datasets.load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    net = cbp.Network([64, 32, 10], activation="relu", output="softmax", seed=0)
    net.fit(X, y, epochs=15, batch_size=32)
    assert np.mean(net.predict(X).argmax(axis=1) == y) > 0.95
    return net, X


def rows_of(X):
    """Text of rows.h: what the program is to predict."""
    lines = ",\n".join("{" + ", ".join(f"{float(value).hex()}" for value in row) + "}" for row in X)
    return f"#define ROWS {len(X)}\nstatic const digits_input rows[ROWS][{X.shape[1]}] = {{\n{lines}}};\n"


def compiled(folder, processor):
    """Compile the example with the files of a folder; return the program."""
    program = folder / f"{processor}.elf"
    sources = [EXAMPLE / "start.c", EXAMPLE / "main.c", folder / "digits.c"]
    places = [f"-I{EXAMPLE}", f"-I{folder}", f"-T{EXAMPLE / 'cortex.ld'}"]
    flags = [*FLAGS, f"-mcpu={processor}", *PROCESSORS[processor][1]]
    subprocess.run([CC, *flags, *places, *sources, "-lgcc", "-o", program], check=True)
    return program


def emulated(program, processor):
    """Run a program; return what it prints, in lines."""
    machine = ["-M", PROCESSORS[processor][0], "-nographic", "-monitor", "none", "-serial", "none"]
    hosted = ["-semihosting-config", "enable=on,target=native", "-kernel", program]
    done = subprocess.run(
        ["qemu-system-arm", *machine, *hosted], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return (done.stdout + done.stderr).splitlines()


def predicted(folder, processor, dtype):
    """Outputs of the program, and the bytes of stack it took."""
    *lines, last = emulated(compiled(folder, processor), processor)
    words = np.array([[int(line[i : i + 8], 16) for i in range(0, len(line), 8)] for line in lines], np.uint32)
    return words.view(dtype), int(last.removeprefix("stack "), 16)


@pytest.mark.parametrize("processor", PROCESSORS)
def test_the_digits_are_read_alike(processor, digits, tmp_path):
    net, X = digits
    net.export(tmp_path / "digits.c")
    (tmp_path / "rows.h").write_text(rows_of(X[:200]))
    outputs, stack = predicted(tmp_path, processor, np.float32)
    assert outputs.tobytes() == net.predict(X[:200]).tobytes()
    assert stack < 1024


def test_weights_of_8_bits_take_a_quarter_of_the_flash(digits, tmp_path):
    net, X = digits
    net.export(tmp_path / "digits.c", weights="int8")
    (tmp_path / "rows.h").write_text(rows_of(X[:100]))
    outputs, _ = predicted(tmp_path, "cortex-m4", np.float32)
    eight = cbp.io.c.quantized(net)
    assert outputs.tobytes() == eight.predict(X[:100]).tobytes()
    assert np.mean(eight.predict(X).argmax(axis=1) == net.predict(X).argmax(axis=1)) > 0.98


@pytest.mark.parametrize("processor", ["cortex-m3", "cortex-m7"])
def test_doubles_and_scaling_are_alike(processor, tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(3, 20, (100, 5))
    net = cbp.Network(
        [5, cbp.Dense(8, "gelu"), cbp.Dense(6, "softsign", skip=[0]), 3],
        output="identity",
        dtype="float64",
        scale_inputs="standard",
        scale_targets="minmax",
        seed=1,
    )
    net.learn_scaling(X, X[:, :3] ** 2)
    net.export(tmp_path / "digits.c", name="digits")
    (tmp_path / "rows.h").write_text(rows_of(X))
    outputs, _ = predicted(tmp_path, processor, np.float64)
    assert outputs.tobytes() == net.predict(X).tobytes()


def test_a_program_that_would_not_fit_is_refused_by_the_linker(tmp_path):
    net = cbp.Network([64, 1200, 10], output="identity", seed=0)
    net.export(tmp_path / "digits.c")
    (tmp_path / "rows.h").write_text(rows_of(np.zeros((1, 64))))
    with pytest.raises(subprocess.CalledProcessError):
        compiled(tmp_path, "cortex-m4")


# ---- the library itself ----

LIBRARY = ["-std=gnu11", "-O1", "-ffunction-sections", "-fdata-sections", "-fno-math-errno", "-DCBP_NO_THREADS"]
M7 = ["-mthumb", "-mcpu=cortex-m7", *PROCESSORS["cortex-m7"][1]]


def has_newlib():
    """Whether there are headers of a C library for these processors."""
    return subprocess.run([CC, "-E", "-"], input=b"#include <math.h>", capture_output=True, check=False).returncode == 0


def library(folder):
    """Objects of the C library for a Cortex-M7."""
    csrc = EXAMPLE.parents[2] / "csrc"
    sources = [csrc / "kern/scalar.c", *sorted(csrc.glob("*.c"))]
    objects = [folder / f"{source.stem}.o" for source in sources]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        commands = [[CC, *M7, *LIBRARY, "-c", s, "-o", o] for s, o in zip(sources, objects, strict=True)]
        list(pool.map(lambda command: subprocess.run(command, check=True), commands))
    return objects


@pytest.mark.skipif(not shutil.which(CC) or not has_newlib(), reason="needs libnewlib-arm-none-eabi")
def test_the_library_learns_there_as_on_a_desk_without_a_heap(tmp_path):
    """A program that wanted malloc would not link: newlib's calls _sbrk, which nobody has."""
    sources = [EXAMPLE / "start.c", EXAMPLE / "desk.c", EXAMPLE.parent / "static_memory.c"]
    places = [f"-I{EXAMPLE}", f"-I{EXAMPLE.parents[2] / 'csrc'}", f"-T{EXAMPLE / 'cortex.ld'}"]
    linked = ["-nostartfiles", "-Wl,--gc-sections", "-Wl,--defsym=FLASH_SIZE=512K"]
    program = tmp_path / "static.elf"
    objects = library(tmp_path)
    subprocess.run([CC, *M7, *LIBRARY, *places, *linked, *sources, *objects, "-lm", "-o", program], check=True)
    assert emulated(program, "cortex-m7") == (EXAMPLE.parent / "static_memory.txt").read_text().splitlines()
