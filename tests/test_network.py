"""Network: how it is described, viewed, copied and compared; and the tables that name its parts."""

import copy
import json
import pickle

import numpy as np
import pytest
from cases import each_of

import cbp

XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)


def small(**kwargs):
    return cbp.Network([2, 3, 1], **{"loss": "half_squared_error", "seed": 0, **kwargs})


# ---- description ----


def test_print_says_widths_activations_loss_dtype_and_size():
    net = cbp.Network([64, 128, 10], activation="relu", output="softmax")
    assert str(net) == "Network(64 > 128 relu > 10 softmax, categorical_cross_entropy, float32): 9,610 parameters"
    assert repr(net) == str(net)


def test_print_counts_what_is_fixed_and_breaks_long_lines():
    net = cbp.Network([2, cbp.Dense(3, "relu", l2=0.5, trainable=False), cbp.Dense(1, "sigmoid", skip="all")])
    shown = "Network(2 > 3 relu l2=0.5 > 1 sigmoid skip=[0], binary_cross_entropy, float32): 15 parameters"
    assert str(net) == f"{shown}, 9 of them fixed"
    net.layers[0].trainable = True
    assert str(net) == shown
    net.layers[1].mask = [[0], [1], [1], [1], [1], [0]]
    assert str(net) == f"{shown}, 2 of them fixed"
    tall = str(cbp.Network([2, *[cbp.Dense(100, "hard_sigmoid", dropout=0.125)] * 3, 1]))
    assert tall.splitlines() == [
        "Network(2",
        *["        > 100 hard_sigmoid dropout=0.125"] * 3,
        "        > 1 sigmoid,",
        "        binary_cross_entropy, float32): 20,601 parameters",
    ]


@pytest.mark.parametrize(
    ("layers", "kwargs", "text"),
    [
        ([1, 1], {}, "Network(1 > 1 sigmoid, binary_cross_entropy, float32): 2 parameters"),
        (
            [3, 2],
            {"output": "tanh", "reduction": "sum"},
            "Network(3 > 2 tanh, half_squared_error, sum, float32): 8 parameters",
        ),
        (
            [3, cbp.Dense(3, ["sigmoid", "tanh", "relu"]), 2],
            {"loss": "half_squared_error", "dtype": np.float64},
            "Network(3 > 3 [sigmoid, tanh, relu] > 2 sigmoid, half_squared_error, float64): 20 parameters",
        ),
        (
            [1, cbp.Dense(5, ["tanh", *["relu"] * 4]), cbp.Dense(1, cbp.activations.leaky_relu(0.3))],
            {},
            "Network(1 > 5 [tanh, relu, relu, ...] > 1 leaky_relu(alpha=0.3), half_squared_error, float32): "
            "16 parameters",
        ),
    ],
)
def test_print_of_special_networks(layers, kwargs, text):
    assert str(cbp.Network(layers, **kwargs)) == text


@each_of("output", cbp.activations)
def test_default_loss_is_the_first_whose_partner_is_the_output(output):
    first = next((name for name, row in cbp.losses.items() if row.partner == output), "half_squared_error")
    assert cbp.Network([2, 3], output=output).get_config()["loss"] == first


def test_output_defaults_to_activation():
    assert cbp.Network([1, 2, 3], activation="tanh").layers[1].activation is cbp.activations.tanh


def test_names_rows_and_types_are_the_same():
    named = cbp.Network(
        [2, 3, 1], activation="tanh", loss="half_squared_error", init="he_normal", dtype="float64", seed=1
    )
    rows = cbp.Network(
        (np.int64(2), cbp.Dense(3), 1),
        activation=cbp.activations.tanh,
        loss=cbp.losses.half_squared_error,
        init=cbp.initializers.he_normal,
        dtype=np.dtype(float),
        seed=np.uint64(1),
    )
    assert named == rows


def test_equal_activations_of_all_units_are_one_activation():
    assert small(activation="tanh") == cbp.Network(
        [2, cbp.Dense(3, ["tanh"] * 3), cbp.Dense(1, "tanh")], loss="half_squared_error", seed=0
    )


def test_configured_activation_is_used():
    net = cbp.Network([1, cbp.Dense(1, cbp.activations.leaky_relu(alpha=0.25))], seed=0)
    net.params[:] = [0, 1]
    assert net.predict([-4.0]) == -1


def test_configuration_goes_through_json():
    per_unit = cbp.Dense(2, ["tanh", cbp.activations.leaky_relu(alpha=0.5)])
    net = cbp.Network(
        [3, per_unit, 1], output="sigmoid", init="he_uniform", dtype="float64", reduction="sum", seed=2**64 - 1
    )
    assert cbp.Network.from_config(json.loads(json.dumps(net.get_config()))) == net


def test_from_config_takes_the_defaults_for_what_is_missing():
    assert str(cbp.Network.from_config({"layers": [2, {"units": 1}]})) == str(cbp.Network([2, 1]))


def test_seed_decides_the_weights():
    assert small(seed=7) == small(seed=7)
    assert small(seed=7).params.tobytes() != small(seed=8).params.tobytes()


def test_without_a_seed_one_is_drawn_and_kept():
    first, second = cbp.Network([2, 2]), cbp.Network([2, 2])
    assert first.seed != second.seed
    assert cbp.Network([2, 2], seed=first.seed) == first


def test_biases_start_at_zero_and_weights_do_not():
    for layer in cbp.Network([5, 4, 3], activation="relu").layers:
        assert not layer.b.any()
        assert layer.W.all()


@pytest.mark.parametrize("init", cbp.initializers)
def test_every_initialiser_can_be_chosen(init):
    chosen, default = (cbp.Network([4, 5], init=name, seed=0).params.tobytes() for name in (init, None))
    assert (chosen == default) == (init == cbp.activations.sigmoid.partner)


# ---- views ----


def test_layers_are_views_of_the_parameters_and_the_gradient():
    net = small()
    net.params[:] = np.arange(13)
    net.grad[:] = -np.arange(13)
    first, last = net.layers
    np.testing.assert_array_equal(first.theta, [[0, 1, 2], [3, 4, 5], [6, 7, 8]])
    np.testing.assert_array_equal(first.W, [[3, 4, 5], [6, 7, 8]])
    np.testing.assert_array_equal(last.b, [9])
    np.testing.assert_array_equal(last.grad_W, [[-10], [-11], [-12]])
    np.testing.assert_array_equal(first.grad_b, [0, -1, -2])
    np.testing.assert_array_equal(last.grad_theta[:, 0], [-9, -10, -11, -12])
    assert (first.n_in, first.n_out, first.units, net.widths, net.n_params) == (2, 3, 3, (2, 3, 1), 13)
    assert repr(last) == "Layer(3 > 1 sigmoid)"


def test_writing_into_a_view_changes_what_the_network_computes():
    net = cbp.Network([2, 1], output="identity", seed=0)
    net.layers[0].W[:], net.layers[0].b[:] = [[2], [3]], 1
    assert net.predict([10, 100]) == 321
    net.params[:] = 0
    assert net.predict([10, 100]) == 0


def test_in_place_operators_on_views_work():
    net = small()
    net.params[:] = 1
    net.grad[:] = 0.5
    net.params -= net.grad
    net.layers[0].W *= 2
    assert net.params.tolist() == [0.5] * 3 + [1.0] * 6 + [0.5] * 4


# ---- copies ----


def trained():
    net = small(activation="tanh")
    net.metadata["classes"] = ["no", "yes"]
    net.fit(XOR, [0, 1, 1, 0], epochs=3, optimizer=cbp.optimizers.SGD(0.1, momentum=0.5))
    return net


COPIES = {
    "copy": cbp.Network.copy,
    "copy.copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{
        f"pickle {protocol}": lambda net, protocol=protocol: pickle.loads(pickle.dumps(net, protocol))
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
}


@pytest.mark.parametrize("make", COPIES.values(), ids=COPIES)
def test_a_copy_is_equal_independent_and_goes_on_alike(make):
    net = trained()
    other = make(net)
    assert (other == net, other.epoch, other.metadata, other.optimizer) == (True, 3, net.metadata, net.optimizer)
    for each in (net, other):
        each.fit(XOR, [0, 1, 1, 0], epochs=2)
    assert other == net
    other.params[0] += 1
    other.metadata["classes"].append("maybe")
    assert other != net
    assert net.metadata == {"classes": ["no", "yes"]}


def test_subclasses_stay_what_they_are():
    class Mine(cbp.Network):
        pass

    assert type(Mine([1, 1]).copy()) is Mine
    assert type(Mine.from_config(small().get_config())) is Mine


def test_equality_is_of_description_and_bits():
    assert small() == small()
    assert small() != small(seed=1)
    assert small() != small(reduction="sum")
    assert small() != "a network"
    with pytest.raises(TypeError, match="unhashable"):
        hash(small())


# ---- the package ----


def test_version_is_that_of_the_library():
    assert cbp.__version__ == cbp._core.version()


def test_everything_in_all_is_there():
    assert not [name for name in cbp.__all__ if not hasattr(cbp, name)]


def test_dense_compares_and_prints():
    dense = cbp.Dense(2, ["tanh", "relu"])
    assert dense == cbp.Dense(2, [cbp.activations.tanh, "relu"])
    assert hash(dense) == hash(cbp.Dense(2, ["tanh", "relu"]))
    assert dense != cbp.Dense(2, "tanh")
    assert (repr(dense), repr(cbp.Dense(2))) == ("Dense(2, ['tanh', 'relu'])", "Dense(2)")


# ---- the tables ----


@pytest.mark.parametrize("table", [cbp.activations, cbp.losses, cbp.initializers])
def test_tables_are_read_only_mappings_with_attributes(table):
    assert len(table) == len(list(table))
    assert set(table) <= set(dir(table))
    for name, row in table.items():
        assert table[name] is row is getattr(table, name)
        assert name in repr(table)
        assert row.formula in repr(table)
        assert pickle.loads(pickle.dumps(row)) == row
    assert pickle.loads(pickle.dumps(table)) is table


def test_rows_with_arguments_are_called():
    row = cbp.activations.leaky_relu(0.5)
    assert (row.args["alpha"], repr(row)) == (0.5, "leaky_relu(alpha=0.5)")
    assert row == cbp.activations.leaky_relu(alpha=0.5) == pickle.loads(pickle.dumps(row))
    assert row != cbp.activations.leaky_relu
    assert row() == row
    assert len({row, cbp.activations.leaky_relu, row(0.5)}) == 2
