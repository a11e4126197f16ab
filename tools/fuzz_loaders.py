"""Random files, guided by coverage, through the loaders of models: `make fuzz`, or fuzz_loaders.py SECONDS.

An input is a letter that says what the rest is, and the rest: a whole file, or a part of one around which a good file
is built, so that wrong checksums and sizes do not hide what lies behind them. A loader may return a network, which then
must survive being saved, loaded and asked, or raise cbp.FormatError. Anything else is a finding: libFuzzer writes the
input to build/fuzz, and `fuzz_loaders.py FILE` repeats it.

It begins with the damaged models of tests/damaged.py. The package atheris is in the group `fuzz` of pyproject.toml.
"""

import contextlib
import io
import json
import random
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "fuzz"
sys.path.insert(0, str(ROOT / "tests"))

LONGEST = 1 << 14  # bytes of an input
SMALL = 10_000  # parameters of a network that arrays are made for
# What may take the place of any value in a JSON text
VALUES = [None, True, False, 0, 1, -1, 2, 3, 64, 2**31 - 1, 2**31, 2**63, 10**30, 10**400, 0.5, -0.0, 1e308, "", "a"]
VALUES += ["\ud800"]
VALUES += ["tanh", "softmax", "log_softmax", "identity", "exp", "huber", "gaussian_nll", "hinge", "standard", "minmax"]
VALUES += ["float32", "float64", "Adam", "LBFGS", "SGD", "F32", "F64", [], {}, [0], [1, 2], {"a": 1}]
VALUES += [{"name": "leaky_relu"}]
KEYS = ["name", "units", "activation", "skip", "loss", "heads", "weight", "scale_inputs", "scale_targets", "dropout"]
KEYS += ["init"]
KEYS += ["mask", "method", "numbers", "vectors", "scaling", "unfinished", "missing_targets", "dtype", "shape", "alpha"]
KEYS += ["\n"]


class Target:
    """Loads an input and says what is wrong with it: nothing, or an exception."""

    def __init__(self):
        import damaged
        import damaged_tensors
        import good_models as good
        import model_bytes

        import cbp

        self.cbp, self.damaged, self.good, self.write = cbp, damaged, good, model_bytes
        self.refused = self.read = 0
        self.outer, self.numbers = damaged_tensors.split()
        self.kinds = {
            b"Z": lambda data: [(data, ".npz")],
            b"S": lambda data: [(data, ".safetensors")],
            b"A": lambda data: self.both(good.ADAM, data),
            b"L": lambda data: self.both(good.LBFGS, data),
            b"F": self.fitting,
            b"T": lambda data: [(model_bytes.wrap(data, self.numbers), ".safetensors")],
            b"P": self.array,
            b"M": self.members,
        }

    def __call__(self, data):
        for file, ending in self.kinds.get(data[:1], self.kinds[b"Z"])(data[1:]):
            self.load(file, ending)

    def load(self, data, ending):
        module = __import__(f"cbp.io.{ending[1:]}", fromlist=["load"])
        try:
            net = module.load(io.BytesIO(data), self.cbp.Network)
        except self.cbp.FormatError as error:
            self.refused += 1
            if not str(error).isprintable() or len(str(error)) > 500:
                raise AssertionError("not a sentence") from error
            return
        self.read += 1
        again = io.BytesIO()
        module.save(net, again)
        other = module.load(again, self.cbp.Network)
        assert other == net
        assert other.metadata == net.metadata
        assert other.optimizer == net.optimizer
        if net.method_state is not None and net.n_params <= 100:
            with contextlib.suppress(ValueError, ArithmeticError, MemoryError):  # a file may ask for much memory
                net.fit([[1.0] * net.widths[0]] * 2, [[0.5] * net._spec.n_targets] * 2, epochs=2)
        if net.n_params <= SMALL and not getattr(net._reader, "unknown", False):
            with contextlib.suppress(ValueError):  # a scaling may leave the network's dtype
                net.predict([0.0] * net.widths[0])

    def both(self, arrays, header):
        """A header in a file of each format, before the arrays of a good one."""
        description = json.loads(arrays["header"].tobytes())["network"]
        found = self.good.both("", self.good.with_header(arrays, header), description)
        return [(data, ending) for _, ending, data in found]

    def fitting(self, data):
        """The same, with the arrays that the header wants, so that nothing but the header can be wrong."""
        import numpy as np

        from cbp import _packing

        try:
            header = _packing.read_header(data)
        except self.cbp.FormatError:
            return []
        sizes = [np.prod(shape, dtype=object) for shape in header.shapes.values()]
        if sum(sizes) > SMALL:
            return []
        arrays = {name: np.ones(shape, header.dtype_of(name)) for name, shape in header.shapes.items()}
        return self.both({"header": np.frombuffer(data, np.uint8), **arrays}, data)

    def array(self, data):
        """A .npy in the place of the parameters'."""
        members = self.good.MEMBERS
        return [(self.write.archive([members[0], (members[1][0], data), *members[2:]]), ".npz")]

    def members(self, data):
        """An archive whose records are changed: pairs of a member's number and name, and bytes."""
        number, _, rest = data.partition(b"\0")
        name, _, extra = rest.partition(b"\0")
        members = list(self.good.MEMBERS)
        place = sum(number) % len(members)
        members[place] = (name, members[place][1])
        changes = {place: {"extra_bytes": extra[:1000]}}
        return [(self.write.archive(members, changes, changes), ".npz")]


def seeds(target):
    """Inputs to begin with: the damaged models, and the parts that good ones are built around."""
    damaged, good = target.damaged, target.good
    for arrays, letter in ((good.ADAM, b"A"), (good.LBFGS, b"L")):
        text = arrays["header"].tobytes()
        yield from (kind + text for kind in (letter, b"F"))
        yield b"Z" + target.write.npz(arrays)
        yield b"S" + target.write.safetensors(arrays)
    yield b"T" + json.dumps(target.outer).encode()
    yield b"P" + good.MEMBERS[1][1]
    yield b"M\1\0params.npy\0"
    for _, text in damaged.damaged_headers():
        yield from (kind + text for kind in (b"A", b"F"))
    for _, text in (*damaged.damaged_tensors(), *damaged.damaged_metadata()):
        length = int.from_bytes(text[:8], "little")
        yield b"T" + text[8 : 8 + min(length, LONGEST)]
    for _, ending, data in damaged.corpus():
        yield (b"Z" if ending == ".npz" else b"S") + data


def places(value, found=None):
    """Every (container, key) in what JSON has said."""
    found = [] if found is None else found
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in pairs:
        found.append((value, key))
        places(each, found)
    return found


def mutate_json(text, chance):
    """Another JSON text: values replaced, removed, repeated, moved; numbers changed; now and then a key twice."""
    value = json.loads(text)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        found = places(value)
        if not found:
            return text
        container, key = chance.choice(found)
        how = chance.randrange(6)
        if how == 0:
            container[key] = chance.choice(VALUES)
        elif how == 1:
            del container[key]
        elif how == 2:
            other, place = chance.choice(found)
            container[key] = json.loads(
                json.dumps(other.get(place) if isinstance(other, dict) else other[place : place + 1])
            )
        elif how == 3 and isinstance(container, dict):
            container[chance.choice(KEYS)] = chance.choice(VALUES)
        elif how == 4 and isinstance(container, list):
            container[key:key] = [container[key]] * chance.choice((1, 2, 30))
        elif type(container[key]) is int:
            container[key] += chance.choice((-2, -1, 1, 2, 4, 8, 2**31, -(2**31), 2**63))
    changed = json.dumps(value).encode()
    return changed.replace(b", ", b', "a": 1, "a": 2, ', 1) if chance.randrange(50) == 0 else changed


def mutate(data, longest, chance, plain):
    """Another input; `plain` changes bytes without knowing what they mean."""
    if data[:1] in (b"A", b"L", b"F", b"T") and chance.randrange(4):
        try:
            return (data[:1] + mutate_json(data[1:], chance))[:longest]
        except (ValueError, RecursionError, OverflowError):
            pass
    return data[:1] + plain(data[1:], longest - 1) if data and chance.randrange(50) else plain(data, longest)


def main(argument):
    import atheris

    with atheris.instrument_imports(include=["cbp"]):
        target = Target()
    if not argument.isdigit():
        target(Path(argument).read_bytes())
        return
    corpus = WORK / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds(target)):
        if len(data) <= LONGEST:
            (corpus / f"seed-{number}").write_bytes(data)

    def mutator(data, longest, seed):
        return mutate(data, longest, random.Random(seed), atheris.Mutate)

    limits = [f"-max_total_time={argument}", f"-max_len={LONGEST}", "-timeout=5", "-rss_limit_mb=4096"]
    options = ["-malloc_limit_mb=256", "-print_final_stats=1", f"-artifact_prefix={WORK}/"]
    atheris.Setup([sys.argv[0], str(corpus), *limits, *options], target, custom_mutator=mutator)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "600")
