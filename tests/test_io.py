"""Saving and loading: nothing is half-written, nothing strange is read. What is kept: test_formats.py."""

import io
import json
import os
import re
import stat
import zipfile

import numpy as np
import pytest

import cbp

rng = np.random.default_rng(9)
X = rng.normal(size=(17, 3))
LABELS = rng.integers(0, 2, 17)


def trained(optimizer="adam", dtype="float32"):
    layers = [3, cbp.Dense(4, ["tanh", "relu", "sigmoid", cbp.activations.leaky_relu(0.5)]), 2]
    net = cbp.Network(layers, output="softmax", dtype=dtype, init="he_normal", seed=3)
    if optimizer:
        net.fit(X, LABELS, epochs=2, batch_size=4, optimizer=optimizer)
    return net


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.npz"


# ---- what is kept ----


def test_a_changed_learning_rate_is_kept(path):
    net = trained()
    net.optimizer.learning_rate = 0.5
    net.save(path)
    assert cbp.load(path).optimizer == cbp.optimizers.Adam(0.5)


def test_numpy_opens_the_file(path):
    net = trained()
    net.save(str(path))
    with np.load(path, allow_pickle=False) as arrays:
        assert set(arrays) == {"header", "params", "slots"}
        np.testing.assert_array_equal(arrays["params"], net.params)
        assert arrays["params"].dtype == "<f4"
        assert json.loads(arrays["header"].tobytes())["network"] == net.get_config()


def test_loaded_parameters_can_be_written(path):
    net = trained()
    net.save(path)
    cbp.load(path).params[:] = 0


# ---- what happens to files ----


def test_only_the_model_is_left_in_the_folder(path):
    trained().save(path)
    trained().save(path)
    assert os.listdir(path.parent) == ["model.npz"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), ZeroDivisionError()])
def test_a_failed_save_leaves_the_old_file_whole_and_nothing_else(path, monkeypatch, error):
    trained(None).save(path)
    before = path.read_bytes()

    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr("cbp.io._zip._end_of", fail)
    with pytest.raises(type(error)) as caught:
        trained().save(path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["model.npz"]
    if isinstance(error, OSError):
        assert caught.value.filename == str(path)


def test_a_failed_replacement_leaves_nothing_else(path, monkeypatch):
    def fail(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(PermissionError, match=r"Permission denied.*model\.npz'$"):
        trained().save(path)
    assert not os.listdir(path.parent)


def test_metadata_that_json_cannot_hold_leaves_the_old_file_whole(path):
    net = trained()
    net.save(path)
    before = path.read_bytes()
    net.metadata["mean"] = np.zeros(3)
    with pytest.raises(TypeError, match="metadata must be a dict of what JSON can hold"):
        net.save(path)
    assert path.read_bytes() == before


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_permissions_of_an_existing_file_are_kept_and_links_followed(tmp_path):
    target, link = tmp_path / "real.npz", tmp_path / "link.npz"
    trained().save(target)
    target.chmod(0o640)
    link.symlink_to(target)
    net = trained("sgd")
    net.save(link)
    assert link.is_symlink()
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert cbp.load(target) == net


@pytest.mark.skipif(os.name == "nt", reason="umask of POSIX")
def test_a_new_file_has_the_usual_permissions(path):
    before = os.umask(0o027)
    try:
        trained().save(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


# ---- what is refused ----


def test_no_truncated_file_is_read(path):
    trained().save(path)
    data = path.read_bytes()
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        with pytest.raises(cbp.FormatError, match=r"model\.npz is not a model that cbp can read: "):
            cbp.load(path)


def test_a_changed_byte_is_found_or_harmless(path):
    net = trained()
    net.save(path)
    data = path.read_bytes()
    for place in range(0, len(data), 11):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
        try:
            other = cbp.load(path)
        except cbp.FormatError:
            continue
        assert other == net


def members(net, **changes):
    """Return the arrays of a saved network, with members changed, added, or (None) left out."""
    arrays = {name: np.array(array) for name, array in net.__getstate__().items()}
    return {name: array for name, array in {**arrays, **changes}.items() if array is not None}


def header(**changes):
    """Return the header of a saved network with fields changed or (None) left out."""
    fields = json.loads(trained().__getstate__()["header"].tobytes())
    fields["network"].update(changes.pop("network", {}))
    kept = {name: value for name, value in {**fields, **changes}.items() if value != "left out"}
    return {"header": np.frombuffer(json.dumps(kept).encode(), np.uint8)}


def raw(data):
    return {"header": np.frombuffer(data, np.uint8)}


STRANGE = {
    "foreign arrays": (
        {"header": None, "params": None, "slots": None, "weights": np.ones(3)},
        "it has no member 'header'",
    ),
    "no parameters": ({"params": None}, "it has no member 'params'"),
    "no slots": ({"slots": None}, "it has no member 'slots'"),
    "another member": ({"more": np.ones(3)}, "it has a member 'more' that does not belong"),
    "too few parameters": ({"params": np.ones(3, "f4")}, "its member 'params' is not the array (26,) of float32"),
    "another dtype": ({"params": np.ones(26, "f8")}, "its member 'params' is not the array (26,) of float32"),
    "another order": ({"slots": np.ones((26, 2), "f4").T}, "its member 'slots' is not the array (2, 26) of float32"),
    "objects": ({"params": np.array([{}] * 26, object)}, "its member 'params' is not the array (26,) of float32"),
    "no mask": (header(mask=True), "it has no member 'mask'"),
    "mask that nobody announced": ({"mask": np.ones(26, "f4")}, "it has a member 'mask' that does not belong"),
    "mask of shares": (
        header(mask=True) | {"mask": np.full(26, 0.5, "f4")},
        "its array 'mask' has a number that is neither 0 nor 1",
    ),
    "impossible claim of a mask": (header(mask=1), "its header describes no network: mask must be true or false"),
    "header of text": ({"header": np.array("{}")}, "its member 'header' is not the array"),
    "header without JSON": (raw(b"\x00\xff"), "its header is not JSON"),
    "nested header": (raw(b"[" * 10_000), "its header is not JSON"),
    "nested header that is large": (raw(b"[" * 1_000_000), "its header would take more memory than a file of its size"),
    "header of another kind": (raw(b"[1, 2]"), "its header is not that of a cbp model"),
    "header of another program": (raw(b'{"version": "1"}'), "its header is not that of a cbp model"),
    "newer version": (header(version=2), "it has format version 2; this cbp reads up to 1: update cbp"),
    "missing field": (header(epoch="left out"), "its header lacks epoch"),
    "impossible epoch": (header(epoch=-1), "its header describes no network: epoch must be "),
    "impossible metadata": (header(metadata=[]), "its header describes no network: metadata must be a dict"),
    "unknown optimiser": (header(optimizer={"name": "Adamant"}), "its header describes no network: optimizer must be"),
    "impossible optimiser": (
        header(optimizer={"name": "Adam", "beta1": 2}),
        "its header describes no network: beta1 must be at least 0 and less than 1, not 2",
    ),
    "unknown activation": (
        header(network={"layers": [3, {"units": 2, "activation": "tahn"}]}),
        "its header describes no network: no activation is called 'tahn', did you mean 'tanh'?",
    ),
    "unknown key": (header(network={"depth": 3}), "its header describes no network: "),
    "no layers": (header(network={"layers": None}), "its header describes no network: a configuration is a dict"),
    "huge network": (
        header(network={"layers": [2**31 - 1, {"units": 2**31 - 1, "activation": "softmax"}]}),
        "its member 'params' is not the array (4611686016279904256,) of float32",
    ),
    "large claim": (
        header(network={"layers": [2**20, {"units": 2**20, "activation": "softmax"}]}),
        "its member 'params' is not the array (1099512676352,) of float32",
    ),
}


@pytest.mark.parametrize(("changes", "sentence"), STRANGE.values(), ids=STRANGE)
def test_strange_files_are_refused_with_one_sentence(path, changes, sentence):
    np.savez(path, allow_pickle=True, **members(trained(), **changes))
    with pytest.raises(cbp.FormatError) as caught:
        cbp.load(path)
    assert str(caught.value).startswith(f"{path} is not a model that cbp can read: {sentence}")
    assert "\n" not in str(caught.value)


def test_a_shape_that_lies_is_refused_before_it_is_allocated(path):
    arrays = members(trained())
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            stream = io.BytesIO()
            np.save(stream, array)
            data = stream.getvalue()
            archive.writestr(f"{name}.npy", data.replace(b"(26,)", b"(9**9,)") if name == "params" else data)
    with pytest.raises(cbp.FormatError):
        cbp.load(path)


def test_compressed_members_are_refused(path):
    np.savez_compressed(path, **members(trained()))
    with pytest.raises(cbp.FormatError, match="its member 'header' is compressed"):
        cbp.load(path)


def test_arrays_saved_again_by_numpy_are_read(path):
    net = trained()
    np.savez(path, **members(net))
    assert cbp.load(path) == net


@pytest.mark.parametrize(
    ("act", "name", "hint"),
    [
        (cbp.load, "m.onnx", "cbp.io.onnx.load reads it"),
        (cbp.load, "m.mat", "cbp.io.matlab.load reads it"),
        (cbp.load, "m.pt", "cbp.io.torch.from_module"),
        (cbp.load, "m.keras", "cbp.io.keras.from_model"),
        (cbp.load, "m.pkl", "cbp.io.sklearn.from_estimator"),
        (cbp.load, "m.c", "exported C is not read back"),
        (lambda path: cbp.Network([2, 1]).save(path), "m.onnx", "net.export writes it"),
        (lambda path: cbp.Network([2, 1]).export(path), "m.npz", "net.save writes it"),
    ],
)
def test_endings_of_other_formats_say_where_to_go(act, name, hint):
    with pytest.raises(ValueError, match=rf"a model file ends in .*: {re.escape(name)}; .*{re.escape(hint)}"):
        act(name)


def test_every_ending_that_is_exported_says_how_it_is_read():
    assert cbp.io.EXPORTS.keys() <= cbp.io._READERS.keys()


@pytest.mark.parametrize("ending", cbp.io.EXPORTS)
def test_options_that_a_format_has_not_are_refused_by_name(tmp_path, ending):
    known = cbp.io.options_of(ending)
    with pytest.raises(TypeError, match=rf"no option of \{ending} is called 'colour'" if known else "has no options"):
        cbp.Network([2, 1]).export(tmp_path / f"model{ending}", colour=1)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("module", [cbp, cbp.io, cbp.io.torch, cbp.io.keras])
def test_names_that_come_later_are_listed(module):
    assert {*getattr(module, "_LATER", ()), *getattr(module, "__all__", ())} <= {*dir(module)}
    assert len(dir(module)) > 10


def test_formats_are_attributes():
    for path in {**cbp.io.FORMATS, **cbp.io.EXPORTS}.values():
        assert getattr(cbp.io, path.rpartition(".")[2]).__name__ == path


def test_missing_files_folders_and_endings(tmp_path):
    net = trained()
    with pytest.raises(FileNotFoundError):
        cbp.load(tmp_path / "none.npz")
    with pytest.raises(FileNotFoundError) as caught:
        net.save(tmp_path / "none" / "model.npz")
    assert caught.value.filename == str(tmp_path / "none" / "model.npz")
    for ending in (".h5", ""):
        for act in (net.save, cbp.load):
            with pytest.raises(
                ValueError, match=rf"a model file ends in \.npz or \.safetensors, not {ending or 'nothing'}: "
            ):
                act(tmp_path / f"model{ending}")
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(OSError, match=r"folder\.npz"):
        net.save(tmp_path / "folder.npz")
    assert os.listdir(tmp_path) == ["folder.npz"]
