"""Exported train_step is Network.train_step: the same bytes in the objective and in all parameters, step after step."""

import numpy as np
import pytest
from exported import AARCH64, S390X, STRICT, compiled, every_activation, every_loss, needs, spread
from exported_once import verified
from helpers import DTYPES

import cbp
from cbp.io.c._program import Compiler

D = cbp.Dense
STEPS = 6


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Work in an empty folder, where there is a compiler."""
    try:
        Compiler.find(None, "")
    except cbp.ExportError as error:
        pytest.skip(str(error))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def proved(net, **options):
    net.export("model.c", train=True)
    report = verified(net, "model.c", **{"rows": 50, "steps": STEPS, "flags": "-O1", **options})
    assert report.steps == options.get("steps", STEPS)  # none diverged
    return report


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_loss_trains_alike(folder, dtype):
    proved(every_loss(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_slope_trains_alike(folder, dtype):
    units = [row for row in cbp.activations.values() if not row.row_wise]
    net = cbp.Network([3, D(len(units), units), D(len(units), units, steepness=0.5), 2], output="identity", dtype=dtype)
    proved(spread(net, 0.3))


@pytest.mark.parametrize("dtype", DTYPES)
def test_missing_targets_train_alike(folder, dtype):
    proved(every_loss(dtype, missing_targets=True, reduction="sum"), steps=2)


@pytest.mark.parametrize(
    ("compiler", "flags", "wrapper"),
    [
        ("clang", "-O3 -march=native -ffp-contract=fast", ""),
        ("gcc", "-O3 -march=native -ffp-contract=fast", ""),
        ("g++", f"-O1 {STRICT}", ""),
        ("clang++", f"-std=c++11 -Wno-deprecated {STRICT}", ""),
        AARCH64,
        S390X,
    ],
)
def test_compilers_and_processors_train_alike(folder, compiler, flags, wrapper):
    needs(compiler, *([wrapper] if wrapper else []))
    net = every_activation("float64" if wrapper else "float32")
    proved(net, compiler=compiler, flags=flags, wrapper=wrapper, steps=3)


RNG = np.random.default_rng(5)
SCALED = {
    "scale_inputs": (RNG.normal(0, 10, 5), RNG.uniform(0.1, 10, 5)),
    "scale_targets": (RNG.normal(0, 10, 3), RNG.uniform(0.1, 10, 3)),
}
NETWORKS = {
    "own rates": {"layers": [4, 6, 3], "output": "softmax"},
    "skips": {"layers": [4, 6, D(5, "tanh", skip=[0]), 4, D(3, "softmax", skip=[1, 2])]},
    "all skips": {"layers": [3, 2, 5, 4, D(3, "identity", skip="all", steepness=0.7)]},
    "scaled": {"layers": [5, 6, D(3, "identity", skip=[0])], **SCALED},
    "penalties": {"layers": [4, D(40, l1=0.1), D(5, l2=0.01), D(3, "softmax", l1=0.02, l2=0.3)]},
    "penalties summed": {"layers": [4, D(6, l1=0.1), D(3, "identity", l1=0.02, l2=0.3)], "reduction": "sum"},
    "short": {"layers": [4, D(6, max_norm=0.4), D(3, "identity", max_norm=0.05, l2=0.1, skip=[0])]},
    "output": {"layers": [4, 3], "output": "log_softmax"},
    "pairs": {"layers": [4, 6, 4], "loss": "gaussian_nll"},
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("structure", NETWORKS)
def test_every_structure_trains_alike(folder, structure, dtype):
    proved(cbp.Network(**NETWORKS[structure], dtype=dtype, seed=1))


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_fixed_stays(folder, dtype):
    layers = [4, D(6, l2=0.1), D(5, max_norm=0.3), D(4, "tanh", skip=[1]), 3]
    net = cbp.Network(layers, output="identity", dtype=dtype, seed=1)
    net.layers[0].trainable = net.layers[2].trainable = False
    net.layers[1].mask = np.arange(35).reshape(7, 5) % 3 > 0
    net.layers[3].mask = np.arange(15).reshape(5, 3) % 2
    proved(net)
    assert "model_kept_2[35]" in (folder / "model.c").read_text()


def test_dropout_and_noise_are_for_fit(folder):
    proved(cbp.Network([4, D(6, dropout=0.5), 3], input_noise=0.1, input_dropout=0.2, output="softmax", seed=0))


def test_a_step_that_would_diverge_is_not_made(folder):
    net = cbp.Network([2, 1], output="exp", loss="half_squared_error", seed=0)
    net.params[:] = 200, 1, 1
    net.export("model.c", train=True)
    assert verified(net, "model.c", rows=20).steps == 0


def test_training_in_c_learns(folder):
    needs("gcc")
    net = cbp.Network([2, 8, 1], activation="tanh", output="sigmoid", seed=1)
    net.export("xor.c", train=True)
    source = """
        #include <stdio.h>
        #include "xor.c"
        int main(void) {
            const float x[4][2] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}}, y[4] = {0, 1, 1, 0};
            float params[XOR_PARAMS], work[XOR_TRAIN_WORK(4)], out;
            memcpy(params, xor_initial, sizeof params);
            for (int step = 0; step < 2000; step++) xor_train_step(params, 4, x[0], y, 1.0, work);
            for (int i = 0; i < 4; i++) {
                xor_predict(params, x[i], &out, work);
                printf("%.0f", (double)out);
            }
            return 0;
        }"""
    assert compiled(folder, source, "-O1", run=True) == "0110"


# ---- refusals ----


def own_loss(y, a):
    return ((a - y) ** 2).sum(axis=1), 2 * (a - y)


def test_a_loss_of_ones_own_is_refused_by_name(folder):
    net = cbp.Network([2, 1], output="identity", loss=own_loss, seed=0)
    net.export("model.c")
    verified(net, "model.c", rows=20)
    with pytest.raises(ValueError, match="exported C cannot train with the loss own_loss, a function of your own"):
        net.export("model.c", train=True)


def test_a_network_that_is_frozen_is_refused(folder):
    net = cbp.Network([2, D(3, trainable=False), D(1, trainable=False)], seed=0)
    with pytest.raises(ValueError, match="cannot train the network: all its layers are frozen"):
        net.export("model.c", train=True)


def test_a_changed_step_is_found(folder):
    net = cbp.Network([4, 6, 3], output="softmax", seed=0)
    net.export("model.c", train=True)
    text = (folder / "model.c").read_text()
    for old, new, message in [
        ("factor * g[j]", "factor * g[j] * 1.0000001f", "after training step 0 on 16 rows: in .* parameters"),
        ("sum /= rows", "sum /= rows + 1e-12", "after training step 0 on 16 rows: the objective is"),
    ]:
        assert old in text
        (folder / "model.c").write_text(text.replace(old, new))
        with pytest.raises(cbp.ExportError, match=message):
            verified(net, "model.c")
