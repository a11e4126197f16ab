"""Exported C on microcontrollers: emulated Cortex-M processors, with and without a floating-point unit, same bytes.

The program is that of docs/examples/cortex_m: vector table, 256 KB of flash, 16 KB of RAM, no C library.
"""

import numpy as np
import pytest
from cortex import CC, EXAMPLE, PROCESSORS, emulated, lacks
from exported_once import compiled_once

import cbp

FLAGS = ["-std=c99", "-mthumb", "-Os", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-nostdlib"]

pytestmark = pytest.mark.skipif(bool(lacks()), reason=str(lacks()))


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
    """Compile the example with the files of a folder; return the program, and what the linker complains of."""
    program, digits = folder / f"{processor}.elf", folder / "digits.o"
    sources = [EXAMPLE / "start.c", EXAMPLE / "main.c"]
    places = [f"-I{EXAMPLE}", f"-I{folder}"]
    command = [CC, *FLAGS, f"-mcpu={processor}", *PROCESSORS[processor][1], *places]
    done = compiled_once([*command, "-c", folder / "digits.c", "-o", digits])
    assert done.returncode == 0, done.stderr.decode()
    done = compiled_once([*command, f"-T{EXAMPLE / 'cortex.ld'}", *sources, digits, "-lgcc", "-o", program])
    return program, done.stderr.decode() if done.returncode else ""


def predicted(folder, processor, dtype):
    """Outputs of the program, and the bytes of stack it took."""
    program, complaint = compiled(folder, processor)
    assert not complaint
    *lines, last = emulated(program, processor)
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
    assert "overflowed" in compiled(tmp_path, "cortex-m4")[1]
