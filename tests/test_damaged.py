"""No damaged model is read, none takes long, and none takes memory that the size of its file does not explain."""

import os
import subprocess
import sys
import time
import tracemalloc
from itertools import chain, islice
from pathlib import Path

import damaged
import damaged_tensors
import good_models
import model_bytes
import numpy as np
import pytest
from helpers import one_in

import cbp

SECONDS = 1.0
SPARE = 2**24
"""What docs/guide/saving.md grants a file beside twice its size."""
SOURCES = {
    source.__name__: source
    for source in (
        damaged.cut_and_extended,
        damaged.damaged_fields,
        damaged.damaged_zips,
        damaged.bombs,
        damaged.damaged_arrays,
        damaged.strange_numbers,
        damaged.headers,
        damaged.damaged_methods,
    )
}
TENSORS = {source.__name__: source for source in (damaged.damaged_tensors, damaged.damaged_metadata)}


def cases(name):
    if name in SOURCES:
        yield from SOURCES[name]()
    else:
        yield from ((f"{what}.safetensors", ".safetensors", data) for what, data in TENSORS[name]())


@pytest.fixture(scope="module")
def corpus():
    """Lists of (name, ending, bytes) by where they come from. Formats take turns in them: an odd stride meets both."""
    return {name: list(cases(name))[:: one_in(5)] for name in (*SOURCES, *TENSORS)}


@pytest.fixture(autouse=True)
def silent():
    """What is imported at the first error is not what a file takes."""
    with pytest.raises(ValueError, match="did you mean"):
        cbp.Dense(3, "tahn")
    assert cbp.optimizers.get("lbfgs")


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
@pytest.mark.parametrize("name", good_models.models())
def test_the_models_are_good_before_they_are_damaged(tmp_path, name, ending):
    arrays = good_models.models()[name]
    path = tmp_path / f"model{ending}"
    path.write_bytes(model_bytes.npz(arrays) if ending == ".npz" else model_bytes.safetensors(arrays))
    found = cbp.load(path).__getstate__()
    assert found.keys() == arrays.keys()
    assert all(found[key].tobytes() == arrays[key].tobytes() for key in arrays)


def test_the_corpus_has_hundreds_of_different_models_of_each_format(corpus):
    models = [model for found in corpus.values() for model in found]
    for ending in (".npz", ".safetensors"):
        different = {data for _, other, data in models if other == ending and len(data) < 2**20}
        assert len(different) > 500 // one_in(5)


@pytest.mark.parametrize("name", [*SOURCES, *TENSORS])
def test_damaged_models_are_refused_with_one_sentence(tmp_path, corpus, name):
    wrong = []
    for what, ending, data in corpus[name]:
        path = tmp_path / f"model{ending}"
        path.write_bytes(data)
        begin = time.process_time()
        try:
            cbp.load(path)
            wrong.append(f"{what}: it was read")
        except cbp.FormatError as error:
            sentence = str(error).removeprefix(f"{path} is not a model that cbp can read: ")
            if sentence == str(error) or not sentence.isprintable() or not 10 < len(sentence) < 400:
                wrong.append(f"{what}: {error}")
        except Exception as error:
            wrong.append(f"{what}: {type(error).__name__}: {error}")
        if (seconds := time.process_time() - begin) > SECONDS:
            wrong.append(f"{what}: it took {seconds:.1f} s")
    assert wrong == []


@pytest.mark.parametrize("name", [*SOURCES, *TENSORS])
def test_damaged_models_take_little_memory(tmp_path, corpus, name):
    wrong = []
    for what, ending, data in corpus[name]:
        path = tmp_path / f"model{ending}"
        path.write_bytes(data)
        tracemalloc.start()
        try:
            with pytest.raises(cbp.FormatError):
                cbp.load(path)
            taken = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        # The constant is for headers; what is not near it has none to speak of, but for the 10,000 lists in each other
        # that Python 3.13 makes of a text before it finds them too many
        if taken > 2 * len(data) + (SPARE if len(data) > 2**17 else 3 * 2**18):
            wrong.append(f"{what}: {taken} bytes for a file of {len(data)}")
    assert wrong == []


MEASURED = """
import resource, sys
import damaged, cbp
from pathlib import Path

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

names = [line.split("|") for line in Path("list").read_text().splitlines()]
cbp.optimizers.get("lbfgs")
cbp.load(names[0][0])
before = peak()
for name, size in names[1:]:
    try:
        cbp.load(name)
        print(name, "was read")
    except cbp.FormatError:
        pass
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="getrusage is of POSIX")
def test_no_library_below_takes_memory_unseen(tmp_path, corpus):
    lines, largest = [], 0
    good = tmp_path / "good.npz"
    good.write_bytes(good_models.NPZ)
    lines.append(f"{good}|0")
    for number, (_, ending, data) in enumerate(corpus["bombs"]):
        path = tmp_path / f"{number}{ending}"
        path.write_bytes(data)
        lines.append(f"{path}|{len(data)}")
        largest = max(largest, len(data))
    (tmp_path / "list").write_text("\n".join(lines))
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().isdigit(), done.stdout
    assert int(done.stdout) < 2 * largest + SPARE


def test_a_flipped_bit_of_an_npz_is_found_or_harmless(tmp_path):
    path = tmp_path / "model.npz"
    path.write_bytes(good_models.NPZ)
    net, read = cbp.load(path), []
    for place in range(0, len(good_models.NPZ), 3 * one_in(5)):
        data = bytearray(good_models.NPZ)
        data[place] ^= 1 << place // 3 % 8
        path.write_bytes(data)
        try:
            other = cbp.load(path)
        except cbp.FormatError:
            continue
        read.append(place)
        assert other == net
        assert other._memory.slots.tobytes() == net._memory.slots.tobytes()
    # What is not looked at: who made a member, and some of the attributes it would have as a file
    assert len(read) < 12 * len(good_models.MEMBERS)


def test_a_flipped_bit_of_a_safetensors_is_no_other_error(tmp_path):
    path = tmp_path / "model.safetensors"
    text_end = len(good_models.TENSORS) - len(damaged_tensors.split()[1])
    refused = 0
    for place in range(0, text_end, 2 * one_in(5)):
        data = bytearray(good_models.TENSORS)
        data[place] ^= 1 << place // 2 % 8
        path.write_bytes(data)
        try:
            cbp.load(path)
        except cbp.FormatError:
            refused += 1
    assert refused > text_end // 4 // one_in(5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_parameters_that_diverged_are_kept(tmp_path, ending, value):
    net = cbp.Network([2, 3, 1], seed=0)
    net.params[4] = value
    net.save(tmp_path / f"net{ending}")
    assert cbp.load(tmp_path / f"net{ending}").params.tobytes() == net.params.tobytes()


# ---- the fuzzer's own parts ----


@pytest.fixture(scope="module")
def fuzz(corpus):
    """The fuzzer, which makes no corpus of its own."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
    try:
        import fuzz_loaders
    except ImportError:
        pytest.skip("these are the tests of a wheel, not a checkout")
    finally:
        sys.path.pop(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(damaged, "corpus", lambda: chain.from_iterable(corpus.values()))
        yield fuzz_loaders


def test_the_fuzzer_finds_nothing_in_what_it_begins_with(fuzz):
    target = fuzz.Target()
    for data in fuzz.seeds(target):
        if len(data) <= fuzz.LONGEST:
            target(data)
    assert target.refused > 1000 // one_in(5)
    assert target.read > 10


def test_the_fuzzer_reaches_networks_and_finds_a_planted_fault(fuzz, monkeypatch):
    import random

    target, chance = fuzz.Target(), random.Random(1)
    texts = list(islice((data for data in fuzz.seeds(target) if data[:1] == b"F"), 2))
    for _ in range(500 // one_in(5)):
        data = fuzz.mutate(chance.choice(texts), fuzz.LONGEST, chance, lambda data, _: data[::-1])
        target(data)
    assert target.read > 50 // one_in(5)
    monkeypatch.setattr(cbp._packing, "_all", lambda numbers, test: {}["planted"])
    with pytest.raises(KeyError, match="planted"):
        target(b"A" + good_models.ADAM["header"].tobytes())
