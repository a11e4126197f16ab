"""Exported C is the network: the same bytes with every compiler, flag and processor at hand; and what is refused."""

import re
import subprocess
import sys

import numpy as np
import pytest
from exported import AARCH64, S390X, STRICT, compiled, every_activation, needs, spread
from exported_once import compiled_once, verified
from helpers import DTYPES, activation, unit_activations

import cbp
from cbp.io.c import _loops
from cbp.io.c._program import Compiler

FAST = "-O3 -march=native -ffp-contract=fast"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module", params=DTYPES)
def every(request, tmp_path_factory):
    """A network of every activation, exported."""
    net, path = every_activation(request.param), tmp_path_factory.mktemp("every") / "every.c"
    net.export(path)
    return net, path


def proved(net, path="model.c", **options):
    net.export(path)
    return verified(net, path, **{"rows": 300, "flags": "-O1", **options})


def any_compiler():
    try:
        Compiler.find(None, "")
    except cbp.ExportError as error:
        pytest.skip(str(error))


# ---- every activation, everywhere ----


def test_every_activation_has_the_same_bytes(every):
    any_compiler()
    net, path = every
    report = cbp.verify_export(net, path, rows=3000)
    assert (report.rows, report.outputs) == (3000, 3000 * net._spec.n_out)


@pytest.mark.parametrize("flags", ["-O0 -std=c99", "-O2 -ffp-contract=fast -DEVERY_SOFT_FMA", FAST])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_compilers_and_flags_change_no_bit(every, compiler, flags):
    needs(compiler)
    verified(*every, compiler=compiler, flags=flags, rows=400)


@pytest.mark.parametrize("compiler", ["g++", "clang++", "gcc", "clang"])
def test_no_compiler_complains(every, compiler):
    needs(compiler)
    flags = {"g++": "-std=c++98 -Wno-long-long", "clang++": "-std=c++11"}.get(compiler, "-std=c99")
    verified(*every, compiler=compiler, flags=f"{flags} -O1 {STRICT} -Wno-deprecated", rows=100)


@pytest.mark.parametrize("target", [AARCH64, S390X], ids=["aarch64", "s390x"])
def test_other_processors_change_no_bit(every, target):
    compiler, flags, wrapper = target
    needs(compiler, wrapper)
    report = verified(*every, compiler=compiler, flags=flags, wrapper=wrapper, rows=400)
    assert report.flash > 1000


def test_clang_would_fuse_products_but_for_the_barrier(folder):
    needs("clang")
    if cbp.isa() not in ("avx2", "avx512"):
        pytest.skip("a processor that fuses nothing")
    net = spread(cbp.Network([3, cbp.Dense(9, "hard_sigmoid", steepness=0.3)], seed=0))
    net.export("model.c")
    text = (folder / "model.c").read_text()
    without = text.replace("model_rounded(0.3f * y[j])", "0.3f * y[j]")
    assert without != text
    (folder / "model.c").write_text(without)
    with pytest.raises(cbp.ExportError, match="differs from the network in"):
        verified(net, "model.c", compiler="clang", flags=FAST)
    (folder / "model.c").write_text(text)
    verified(net, "model.c", compiler="clang", flags=FAST)


@pytest.mark.parametrize(("dtype", "train"), [("float32", False), ("float64", True)])
def test_files_have_what_they_need_and_no_more(folder, dtype, train):
    """A network of each activation, all in one program: what one file lacks, has unused or has twice is seen there."""
    needs("gcc", "nm")
    for name in cbp.activations:
        cbp.Network([2, 2], output=name, dtype=dtype, seed=0).export(f"{name}_model.c", train=train)
    (folder / "all.c").write_text("".join(f'#include "{name}_model.c"\n' for name in cbp.activations))
    command = ["gcc", "-O0", *STRICT.split(), "-march=native", "-c", "all.c", "-o", "all.o"]
    done = compiled_once(command)
    assert (done.returncode, done.stderr) == (0, b"")
    symbols = subprocess.run(["nm", "all.o"], capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r" T (\w+)_model_predict", symbols)) == set(cbp.activations)
    assert set(re.findall(r" U (\w+)", symbols)) <= {"memcpy", "memset"}
    assert not re.findall(r" [dDbBC] ", symbols)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_nothing_is_called_and_nothing_is_kept(every, folder, compiler):
    needs(compiler, "nm")
    assert compiled_once([compiler, "-O2", "-fno-pic", "-c", every[1], "-o", "every.o"]).returncode == 0
    symbols = subprocess.run(["nm", "every.o"], capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r" U (\w+)", symbols)) <= {"memcpy", "memset", "memmove"}
    assert not re.findall(r" [dDbBC] \w+", symbols)


@pytest.mark.parametrize("flags", ["-ffast-math", "-Ofast"])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_flags_that_change_numbers_are_refused(every, compiler, flags):
    needs(compiler)
    with pytest.raises(cbp.ExportError, match="without -ffast-math"):
        cbp.verify_export(*every, compiler=compiler, flags=flags, rows=10)


# ---- every structure ----


def scaled(n):
    rng = np.random.default_rng(5)
    return rng.normal(0, 10, n), rng.uniform(0.1, 10, n)


D, H = cbp.Dense, cbp.Head
STEEP = [5, D(6, "tanh", steepness=0.3), D(7, "identity", steepness=2.1), D(4, "softmax", steepness=1.7)]
HEADS = [H(3, "softmax"), H(2, "identity", "huber"), H(3, "softmax"), H(2, "log_softmax")]
NETWORKS = {
    "skips": {
        "layers": [5, 6, D(7, "tanh", skip=[0]), 4, D(3, "softmax", skip=[1, 2])],
        "activation": "relu",
    },
    "all skips": {"layers": [3, 2, 5, 4, D(3, "identity", skip="all")]},
    "steepness": {"layers": STEEP},
    "units": {"layers": [3, D(6, ["relu", "relu", "sin", "identity", "relu", "gelu"], steepness=1.1), 2]},
    "heads": {"layers": [4, 6, 10], "heads": HEADS},
    "scaled": {"layers": [5, 6, 3], "output": "identity", "scale_inputs": scaled(5), "scale_targets": scaled(3)},
    "scaled inputs": {"layers": [5, 3], "output": "sigmoid", "scale_inputs": scaled(5)},
    "one unit": {"layers": [1, 1], "output": "identity"},
    "wide": {"layers": [300, 70, 1], "activation": "silu"},
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("structure", NETWORKS)
def test_every_structure_has_the_same_bytes(folder, structure, dtype):
    any_compiler()
    net = spread(cbp.Network(**NETWORKS[structure], dtype=dtype, seed=0))
    assert proved(net).rows == 300


def test_scaling_that_was_learned_is_exported(folder):
    any_compiler()
    rng = np.random.default_rng(0)
    X, y = rng.normal(7, 3, (50, 2)), rng.normal(-2, 5, (50, 1))
    net = cbp.Network([2, 4, 1], output="identity", scale_inputs="standard", scale_targets="minmax", seed=0)
    net.fit(X, y, epochs=2)
    proved(net, rows=X)


def test_a_network_that_was_loaded_is_exported_alike(folder):
    net = cbp.Network(**NETWORKS["heads"], seed=0)
    net.save("model.npz")
    net.export("model.c")
    before = (folder / "model.c").read_bytes()
    cbp.load("model.npz").export("model.c")
    assert (folder / "model.c").read_bytes() == before


def test_layers_share_the_workspace(folder):
    net = cbp.Network([9, 50, 40, 30, 20, 2], seed=0)
    net.export("model.c")
    assert "#define MODEL_WORK 90 " in (folder / "model.h").read_text()


# ---- names ----


def test_two_networks_fit_in_one_program(folder):
    needs("gcc")
    rows = {}
    for name, path in (("a", "first.c"), ("b", "second-model.c")):
        net = cbp.Network([2, 3, 2], activation="tanh", output="softmax", seed=ord(name))
        net.export(path)
        rows[name] = net.predict([0.5, -0.25])
    source = """
        #include <stdio.h>
        #include "first.c"
        #include "second-model.c"
        int main(void) {
            const float x[2] = {0.5f, -0.25f};
            float y[2], work[FIRST_WORK + SECOND_MODEL_WORK];
            first_predict(x, y, work);
            printf("%a %a ", (double)y[0], (double)y[1]);
            second_model_predict(x, y, work);
            printf("%a %a", (double)y[0], (double)y[1]);
            return 0;
        }"""
    printed = subprocess.run([compiled(folder, source)], capture_output=True, text=True, check=True).stdout
    assert [float.fromhex(word) for word in printed.split()] == [*rows["a"].tolist(), *rows["b"].tolist()]


@pytest.mark.parametrize(
    ("path", "name", "prefix"),
    [
        ("double.c", None, "double"),
        ("7 segments.c", None, "net_7_segments"),
        ("über.c", None, "ber"),
        ("x.c", "My_1", "My_1"),
    ],
)
def test_names_in_c_are_names(folder, path, name, prefix):
    any_compiler()
    net = cbp.Network([2, 1], seed=0)
    net.export(path, name=name)
    assert f"void {prefix}_predict(" in (folder / path).with_suffix(".h").read_text(encoding="utf-8")
    verified(net, path, rows=20)


def test_names_of_classes_and_inputs_come_along(folder):
    needs("gcc")
    classes = ['a "b"', "c\\d??/", "grün */"]
    net = cbp.Network([2, 3], output="softmax", seed=0)
    net.metadata.update(classes=classes, features=["length */ width", "naïve\nname"])
    net.export("model.c")
    assert "/* x: length * / width, na?ve name */" in (folder / "model.h").read_text()
    source = """
        #include <stdio.h>
        #include "model.c"
        int main(void) {
            for (int i = 0; i < MODEL_OUTPUTS; i++) puts(model_classes[i]);
            return 0;
        }"""
    program = compiled(folder, source, "-std=c99", *STRICT.split())
    assert subprocess.run([program], capture_output=True, check=True).stdout.decode().splitlines() == classes
    net.metadata["classes"] = classes[:2]
    net.export("model.c")
    assert "classes" not in (folder / "model.h").read_text()


# ---- what the proof finds ----


def test_one_changed_weight_is_found(folder):
    any_compiler()
    net = spread(cbp.Network([3, 4, 2], seed=0))
    net.export("model.c")
    net.params[5] = np.nextafter(net.params[5], np.float32(9))
    with pytest.raises(
        cbp.ExportError, match=r"model\.c differs from the network in .* of 2,000 rows, first in row .*inputs \["
    ):
        verified(net, "model.c")


def test_a_product_and_a_sum_do_not_pass_for_a_fused_one(folder):
    any_compiler()
    net = spread(cbp.Network([30, 2], seed=0))
    net.export("model.c")
    text = (folder / "model.c").read_text()
    changed = text.replace("z[j] = model_fma(x[i], w[j], z[j])", "z[j] = x[i] * w[j] + z[j]")
    assert changed != text
    (folder / "model.c").write_text(changed)
    with pytest.raises(cbp.ExportError, match="differs"):
        verified(net, "model.c")


def test_variables_are_found(folder):
    needs("gcc", "size")
    net = cbp.Network([3, 2], seed=0)
    net.export("model.c")
    with open("model.c", "a") as file:
        file.write("int model_kept = 3;\n")
    with pytest.raises(cbp.ExportError, match="4 bytes of variables"):
        cbp.verify_export(net, "model.c", compiler="gcc")


def test_a_report_reads_well(folder):
    needs("gcc", "size")
    net = cbp.Network([4, 8, 3], activation="tanh", output="softmax", seed=0)
    report = proved(net, compiler="gcc", flags=["-Os"])
    assert report.workspace == (4 + 8 + 3) * 4
    assert 8 * 5 * 4 < report.flash < 10_000
    assert 0 < report.stack < 2000
    lines = str(report).splitlines()
    assert lines[:2] == ["the same bytes in 300 rows", "compiler   gcc -Os"]
    assert lines[2] == f"flash      {report.flash:,} bytes of code and constants"
    assert lines[3] == f"RAM        60 bytes of workspace, input and output, at most {report.stack:,} of stack"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"compiler": "no-such-cc"}, "there is no C compiler called no-such-cc"),
        ({"flags": "-no-such-flag"}, "failed with status"),
        ({"wrapper": "no-such-emulator"}, "cannot be run"),
        ({"wrapper": sys.executable + " -c pass"}, "answered 0 bytes, not"),
    ],
)
def test_what_goes_wrong_is_said(folder, options, message):
    any_compiler()
    with pytest.raises(cbp.ExportError, match=message):
        proved(cbp.Network([3, 2], seed=0), **options)


def test_somebody_elses_header_is_no_export(folder):
    (folder / "model.h").write_text("int model(void);\n")
    with pytest.raises(cbp.ExportError, match="is no header"):
        cbp.verify_export(cbp.Network([3, 2], seed=0), "model.c")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_scales_that_overflow_at_the_ends_of_the_range_are_proved_too(folder, dtype, scale):
    any_compiler()
    net = cbp.Network([3, 4, 2], activation="tanh", output="identity", scale_inputs=(0.5, scale), dtype=dtype, seed=0)
    assert proved(net).rows == 300


def test_rows_and_files_that_do_not_fit_are_named(folder):
    any_compiler()
    net = cbp.Network([3, 2], seed=0)
    net.export("model.c")
    for rows in (np.zeros((4, 2)), np.zeros(3), np.zeros((0, 3))):
        with pytest.raises(ValueError, match=r"rows must be a number, or an array of the shape \(rows, 3\), not"):
            cbp.verify_export(net, "model.c", rows=rows)
    with pytest.raises(cbp.ExportError, match="is of another network: it has 3 inputs and 2 outputs, not 2 and 1"):
        cbp.verify_export(cbp.Network([2, 1]), "model.c")
    with pytest.raises(ValueError, match=r"ends in \.c: model\.onnx"):
        cbp.verify_export(net, "model.onnx")
    with pytest.raises(TypeError, match=r"a network, or an estimator of cbp\.sklearn that is fitted, not 'net'"):
        cbp.verify_export("net", "model.c")


# ---- refusals ----


def unlearned():
    return cbp.Network([2, 1], output="identity", scale_inputs="standard", seed=0)


def infinite():
    net = cbp.Network([2, 3, 1], seed=0)
    net.layers[1].b[:] = np.inf
    return net


@pytest.mark.parametrize(
    ("make", "options", "kind", "message"),
    [
        (unlearned, {}, RuntimeError, "the scaling is not learned yet"),
        (infinite, {}, ValueError, "layer 2 has parameters that are not finite"),
        (lambda: cbp.Network([2, 1], seed=0), {"name": "7up"}, ValueError, "name must be a name in C"),
        (lambda: cbp.Network([2, 1], seed=0), {"bits": 8.5}, TypeError, "bits"),
    ],
)
def test_refusals_say_why_and_leave_no_file(folder, make, options, kind, message):
    with pytest.raises(kind, match=message):
        make().export("model.c", **options)
    assert list(folder.iterdir()) == []


def test_a_row_wise_activation_without_a_loop_is_refused_by_name(folder, monkeypatch):
    monkeypatch.setattr(_loops, "ROW_WISE", ())
    with pytest.raises(ValueError, match="exported C cannot express the row-wise activation softmax"):
        cbp.Network([2, 2], output="softmax", seed=0).export("model.c")


def test_files_stay_where_a_new_one_cannot_be_written(folder):
    net = cbp.Network([2, 1], seed=0)
    net.export("model.c")
    before = (folder / "model.c").read_bytes()
    (folder / "model.h").unlink()
    (folder / "model.h").mkdir()
    net.params[:] = 3
    with pytest.raises(OSError, match=r"model\.h"):
        net.export("model.c")
    assert (folder / "model.c").read_bytes() == before


def test_activations_of_the_tables_are_all_there():
    assert {name for name, _ in unit_activations()} == {n for n, row in cbp.activations.items() if not row.row_wise}
    assert activation("leaky_relu", 0.5).args == {"alpha": 0.5}
