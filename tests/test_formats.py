"""Both formats of model files keep the same, in the bytes that the guide describes, on every machine."""

import json
import os
import struct
import zipfile

import good_models
import model_bytes
import numpy as np
import pytest

import cbp
from cbp import _packing
from cbp.io import _zip

rng = np.random.default_rng(9)
X = rng.normal(size=(17, 3))
LABELS = rng.integers(0, 2, 17)
Y = rng.normal(size=(17, 2))
OPTIMIZERS = [None, *cbp._core._INDEX["optimizers"]]
ENDINGS = [".npz", ".safetensors"]
DATA = os.path.join(os.path.dirname(__file__), "data")


def trained(optimizer="adam", dtype="float32", **arguments):
    layers = [3, cbp.Dense(4, ["tanh", "relu", "sigmoid", cbp.activations.leaky_relu(0.5)]), 2]
    net = cbp.Network(layers, output="softmax", dtype=dtype, init="he_normal", seed=3, **arguments)
    if optimizer:
        net.fit(X, LABELS, epochs=2, batch_size=4, optimizer=optimizer)
    return net


def reloaded(net, folder, ending):
    net.save(folder / f"net{ending}")
    return cbp.load(folder / f"net{ending}")


def everything(net):
    """All that a file keeps, as bytes."""
    return {name: array.tobytes() for name, array in net.__getstate__().items()}


# ---- what is kept ----


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_resuming_equals_never_having_stopped(tmp_path, optimizer, dtype, ending):
    net = trained(optimizer, dtype)
    net.metadata.update(classes=["no", "yes"], scale=[0.1, 1e300], note="ä")
    other = reloaded(net, tmp_path, ending)
    assert everything(other) == everything(net)
    for each in (net, other):
        each.fit(X, LABELS, epochs=2, batch_size=4)
    assert everything(other) == everything(net)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("method", cbp.methods.by_name)
def test_full_batch_methods_go_on_from_a_file(tmp_path, method, ending):
    net = cbp.Network([3, 4, 2], activation="tanh", output="identity", dtype="float64", seed=1)
    net.fit(X, Y, epochs=3, optimizer=method)
    other = reloaded(net, tmp_path, ending)
    for each in (net, other):
        each.fit(X, Y, epochs=3)
    assert everything(other) == everything(net)


ODD = {
    "skip connections": lambda: cbp.Network([3, 4, cbp.Dense(2, "identity", skip="all")], seed=1),
    "heads": lambda: cbp.Network([3, 4, 2], heads=[cbp.Head(1, "identity"), cbp.Head(1, "sigmoid", weight=2)], seed=1),
    "one unit": lambda: cbp.Network([1, 1], seed=1),
    "pairs": lambda: cbp.Network([3, 4], loss="gaussian_nll", seed=1),
    "penalties": lambda: cbp.Network(
        [3, cbp.Dense(4, "relu", l1=0.1, dropout=0.5, steepness=2, max_norm=3), 2], seed=1
    ),
    "scaling to be learned": lambda: cbp.Network([3, 2], output="identity", scale_inputs="robust", seed=1),
    "scaling that was given": lambda: cbp.Network([3, 2], output="identity", scale_targets=([1, 2], [3, 0.1]), seed=1),
    "arguments": lambda: cbp.Network([3, 2], loss=cbp.losses.huber(0.3), input_noise=0.1, reduction="sum", seed=1),
    "the largest seed": lambda: cbp.Network([3, 2], seed=2**64 - 1),
    "many units": lambda: cbp.Network([700, 900, 3], seed=1),
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("name", ODD)
def test_every_kind_of_network_comes_back(tmp_path, name, ending):
    net = ODD[name]()
    net.params[:] = rng.normal(size=net.n_params)
    net.mask = rng.integers(0, 2, net.n_params)
    assert everything(reloaded(net, tmp_path, ending)) == everything(net)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_checkpoint_within_an_epoch_goes_on(tmp_path, ending):
    class PowerCut(cbp.Callback):
        updates = 3

        def on_pause(self, state):
            raise KeyboardInterrupt

    net, never, path = trained(None), trained(None), tmp_path / f"half{ending}"
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, LABELS, epochs=2, batch_size=2, callbacks=[cbp.Checkpoint(path, updates=3), PowerCut()])
    other = cbp.load(path)
    assert other.unfinished == 3
    other.fit(X, LABELS, epochs=2 - other.epoch, batch_size=2, resume=True)
    never.fit(X, LABELS, epochs=2, batch_size=2)
    assert everything(other) == everything(never)


# ---- files of version 0.1.0 ----

SAVED = np.linspace(-1, 1, 24).reshape(8, 3)
TARGETS = np.stack([SAVED[:, 0] * SAVED[:, 1] + 3, SAVED[:, 2] - SAVED[:, 0] ** 2], 1)
OLD = {
    "adam": (2, 2, "c2105c40d636ddbf03395e4009cdb8bf", "0000000061e4a4bd4a78f4bdb2a21abe51e4fabe383702bf"),
    "lbfgs": (
        6,
        0,
        "1ea8258f85860b405e509ee1afa9f5bfb251152ca9730b4045af1e63fdfdf1bf",
        "44bd6952c95ef5bf47272b9915e3f63fc7c488817cb5e5bf8c366508688bebbf",
    ),
}


@pytest.mark.parametrize("name", OLD)
def test_files_of_the_first_version_are_read(name, tmp_path):
    epoch, unfinished, predicted, goes_on = OLD[name]
    net = cbp.load(os.path.join(DATA, f"{name}.npz"))
    assert (net.epoch, net.unfinished) == (epoch, unfinished)
    assert little(net.predict(SAVED[:2])).hex() == predicted
    net.save(tmp_path / "again.npz")
    assert everything(cbp.load(tmp_path / "again.npz")) == everything(net)
    net.fit(SAVED, TARGETS, epochs=2, **({"batch_size": 2, "resume": True} if unfinished else {}))
    assert little(net.params).hex().startswith(goes_on)


def little(array):
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


# ---- the bytes ----


@pytest.mark.parametrize("name", good_models.models())
def test_another_writer_after_the_guide_writes_the_same_bytes(name, tmp_path):
    net = cbp.Network.__new__(cbp.Network)
    net.__setstate__(good_models.models()[name])
    arrays = net.__getstate__()
    for ending, write in ((".npz", model_bytes.npz), (".safetensors", model_bytes.safetensors)):
        net.save(tmp_path / f"net{ending}")
        assert (tmp_path / f"net{ending}").read_bytes() == write(arrays)


def test_an_archive_as_older_python_writes_it_is_read(tmp_path):
    """Before 3.11.4 zipfile wrote sizes of 32 bits beside those of 64; on Windows it says so."""
    sizes = [len(data) for _, data in good_models.MEMBERS]
    before = {number: {"packed": size, "size": size} for number, size in enumerate(sizes)}
    windows = {number: {"made_by": 45} for number in before}
    (tmp_path / "net.npz").write_bytes(model_bytes.archive(good_models.MEMBERS, before, windows))
    found = everything(cbp.load(tmp_path / "net.npz"))
    assert found == {name: array.tobytes() for name, array in good_models.ADAM.items()}


def test_archives_beyond_4_gigabytes_have_sizes_of_64_bits():
    assert _zip._narrow([5, 2**32 - 2, 7]) == ([5, 2**32 - 2, 7], b"")
    numbers, extra = _zip._narrow([2**40, 2**40, 2**33])
    assert _zip._wide(numbers, extra, "params") == [2**40, 2**40, 2**33]
    numbers, extra = _zip._narrow([100, 100, 2**33])
    assert _zip._wide(numbers, extra, "params") == [100, 100, 2**33]
    written = _zip._end_of(3, 200, 2**33)
    assert written == model_bytes.end_64((3, 200, 2**33), 2**33 + 200, made_by=3 << 8 | 45) + model_bytes.end(
        (3, 200, 2**32 - 1)
    )


@pytest.mark.skipif(os.name == "nt", reason="a file with a hole takes its size there")
def test_members_beyond_4_gigabytes_are_found_where_zipfile_finds_them(tmp_path):
    path, size, names = tmp_path / "large.npz", 2**32 + 1000, [b"params.npy", b"slots.npy"]
    directory, place = b"", 0
    with open(path, "wb") as file:
        for name, length in zip(names, (size, 128), strict=True):
            wide = struct.pack("<HHQQ", 1, 16, length, length)
            file.seek(place)
            file.write(model_bytes.local(name, b"", extra_bytes=wide))
            (packed, _, offset), extra = _zip._narrow([length, length, place])
            directory += model_bytes.entry(name, b"", offset, size=packed, packed=packed, extra_bytes=extra)
            place = file.tell() + length
        file.seek(place)
        file.write(directory + _zip._end_of(2, len(directory), place))
    with open(path, "rb") as file:
        found, total = _zip.members(file)
    assert total == os.path.getsize(path)
    with zipfile.ZipFile(path) as archive:
        for info, member in zip(archive.infolist(), found.values(), strict=True):
            assert (info.filename, info.file_size) == (f"{member.name}.npy", member.size)
            assert info.header_offset + 30 + len(info.filename) + 20 == member.start


@pytest.mark.parametrize("ending", ENDINGS)
def test_arrays_of_the_other_byte_order_give_the_same_file(tmp_path, monkeypatch, ending):
    net, pack = trained(scale_inputs="standard"), _packing.pack
    net.mask = np.arange(net.n_params) % 3 > 0
    net.save(tmp_path / f"a{ending}")

    def swapped(state):
        arrays = pack(state)
        return {name: array.astype(array.dtype.newbyteorder(">")) for name, array in arrays.items()}

    monkeypatch.setattr(_packing, "pack", swapped)
    net.save(tmp_path / f"b{ending}")
    assert (tmp_path / f"b{ending}").read_bytes() == (tmp_path / f"a{ending}").read_bytes()


def test_arrays_of_the_other_byte_order_make_the_same_network():
    net = trained(scale_inputs="standard")
    net.mask = np.arange(net.n_params) % 3 > 0
    arrays = net.__getstate__()
    other = cbp.Network.__new__(cbp.Network)
    other.__setstate__({name: array.astype(array.dtype.newbyteorder(">")) for name, array in arrays.items()})
    assert everything(other) == everything(net)
    assert other._memory.slots.dtype.isnative


@pytest.mark.parametrize("ending", ENDINGS)
def test_equal_networks_give_equal_files(tmp_path, ending):
    for name in "ab":
        trained().save(tmp_path / f"{name}{ending}")
    assert (tmp_path / f"a{ending}").read_bytes() == (tmp_path / f"b{ending}").read_bytes()


# ---- large headers ----


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_could_not_be_read_is_not_written(tmp_path, ending):
    net = trained()
    reloaded(net, tmp_path, ending)
    before = (tmp_path / f"net{ending}").read_bytes()
    net.metadata["lists"] = [[]] * 200_000
    with pytest.raises(ValueError, match="would take more memory than a file of its size may"):
        net.save(tmp_path / f"net{ending}")
    for wrong in ({1: "one", "1": "also one"}, {"deep": nested(70)}, {"nan": float("nan")}, {"large": 10**5000}):
        net.metadata = wrong
        with pytest.raises(TypeError, match="metadata must be a dict of what JSON can hold"):
            net.save(tmp_path / f"net{ending}")
    assert (tmp_path / f"net{ending}").read_bytes() == before


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("ending", ENDINGS)
def test_metadata_of_a_hundred_thousand_numbers_and_many_names_are_kept(tmp_path, ending):
    net = trained()
    net.metadata = {"numbers": list(rng.normal(size=100_000)), "names": [f"class {i}" for i in range(20_000)]}
    assert reloaded(net, tmp_path, ending).metadata == net.metadata


@pytest.mark.parametrize("ending", ENDINGS)
def test_scales_of_a_hundred_thousand_columns_are_kept(tmp_path, ending):
    n = 100_000
    scaling = rng.normal(size=n), rng.uniform(0.1, 10, size=n)
    net = cbp.Network([n, 3], output="identity", scale_inputs=scaling, seed=1)
    assert everything(reloaded(net, tmp_path, ending)) == everything(net)


def test_a_description_too_long_for_other_programs_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr("cbp.io.safetensors._MOST", 500)
    with pytest.raises(
        ValueError, match=r"has more than the 500 bytes that other programs read: save the network as \.npz"
    ):
        trained().save(tmp_path / "net.safetensors")
    assert os.listdir(tmp_path) == []


# ---- other programs ----


def test_the_package_safetensors_reads_weights_layer_by_layer(tmp_path):
    numpy = pytest.importorskip("safetensors.numpy")
    net = trained()
    reloaded(net, tmp_path, ".safetensors")
    found = numpy.load_file(tmp_path / "net.safetensors")
    for number, layer in enumerate(net.layers):
        np.testing.assert_array_equal(found.pop(f"layers.{number}.weight"), layer.W.T)
        np.testing.assert_array_equal(found.pop(f"layers.{number}.bias"), layer.b)
    assert found.keys() == {"slots"}
    np.testing.assert_array_equal(found["slots"], net._memory.slots)


@pytest.mark.parametrize("name", good_models.models())
def test_what_the_package_safetensors_writes_again_is_read(tmp_path, name):
    numpy, safetensors = pytest.importorskip("safetensors.numpy"), pytest.importorskip("safetensors")
    path, again = tmp_path / "net.safetensors", tmp_path / "again.safetensors"
    path.write_bytes(model_bytes.safetensors(good_models.models()[name]))
    with safetensors.safe_open(path, "np") as file:
        metadata = {**file.metadata(), "more": "of another program", "format": "pt"}
    arrays = numpy.load_file(path)
    arrays["layers.0.weight"] = arrays["layers.0.weight"] * 2
    numpy.save_file(dict(reversed(arrays.items())), again, metadata)
    net, other = cbp.load(path), cbp.load(again)
    net.layers[0].W[:] *= 2
    assert everything(other) == everything(net)


FOREIGN = {"weight": np.ones((3, 4), "f4"), "bias": np.ones(3, "f4")}


def test_tensors_of_another_program_are_refused_by_a_sentence_that_helps(tmp_path):
    numpy = pytest.importorskip("safetensors.numpy")
    numpy.save_file(FOREIGN, tmp_path / "foreign.safetensors", {"format": "pt"})
    with pytest.raises(cbp.FormatError, match="it has tensors, but no description of a network among its metadata"):
        cbp.load(tmp_path / "foreign.safetensors")


def test_saving_safetensors_needs_no_other_package(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "safetensors", None)
    net = trained()
    assert reloaded(net, tmp_path, ".safetensors") == net


def test_the_description_stands_among_the_metadata(tmp_path):
    net = trained()
    net.save(tmp_path / "net.safetensors")
    data = (tmp_path / "net.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    text = json.loads(data[8 : 8 + length])
    assert json.loads(text["__metadata__"]["cbp"])["network"] == net.get_config()
    assert length % 8 == 0
