"""Saving and loading, by the ending of the file's name. One module a format.

A format of cbp's own keeps all of a network; it is a module with ``save(net, file)`` and ``load(file, cls)`` on open
binary files. A module for other programs has ``export(net, path, **options)``; one that reads as well has
``load(path)``.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, TYPE_CHECKING, Any

from cbp.errors import FormatError, unknown
from cbp.network import Network, network_of

if TYPE_CHECKING:
    from types import ModuleType

    from cbp._typing import Path

FORMATS = {".npz": "cbp.io.npz", ".safetensors": "cbp.io.safetensors"}
"""Cbp's own: endings and modules."""
EXPORTS = {
    ".onnx": "cbp.io.onnx",
    ".c": "cbp.io.c",
    ".net": "cbp.io.fann",
    ".mat": "cbp.io.matlab",
    ".m": "cbp.io.matlab",
}
"""Those of other programs, which do not keep all of a network."""
_LATER = ("c", "fann", "keras", "matlab", "npz", "onnx", "safetensors", "sklearn", "torch")
_READERS = {
    ".onnx": "cbp.io.onnx.load reads it",
    ".net": "cbp.io.fann.load reads it",
    ".mat": "cbp.io.matlab.load reads it",
    ".m": "cbp.io.matlab.load reads it",
    ".c": "exported C is not read back, so keep the model beside it",
    ".pt": "load it with PyTorch and give it to cbp.io.torch.from_module or from_state_dict",
    ".pth": "load it with PyTorch and give it to cbp.io.torch.from_module or from_state_dict",
    ".keras": "load it with Keras and give it to cbp.io.keras.from_model",
    ".h5": "load it with Keras and give it to cbp.io.keras.from_model",
    ".pkl": "load it yourself and give it to cbp.io.sklearn.from_estimator",
    ".joblib": "load it yourself and give it to cbp.io.sklearn.from_estimator",
}
"""What to do with the files of others, for the message of `load`."""


def __getattr__(name: str) -> Any:
    """Import a bridge to another library when it is asked for."""
    if name in _LATER:
        return importlib.import_module(f"cbp.io.{name}")
    raise AttributeError(f"module 'cbp.io' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})


def save(net: Network, path: Path) -> None:
    """Write a network to a file: configuration, parameters, optimiser and its state, epoch counter, metadata.

    Training that goes on after loading gives the same bits as training that never stopped. The file is complete or
    not there: it is written beside its place and then moved, so a crash leaves the old file or the new one.

    Parameters
    ----------
    net : Network
        What to save.
    path : str or path-like
        A name that ends in .npz or .safetensors. An existing file is replaced.

    Raises
    ------
    ValueError
        The ending is not that of a known format, or `net.metadata` is so large that `load` would refuse it.
    TypeError
        `net.metadata` holds something that JSON cannot, or the loss is a function of your own.
    OSError
        The file cannot be written.

    Examples
    --------
    >>> import cbp, os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cbp.io.save(cbp.Network([2, 3, 1]), os.path.join(folder, "model.npz"))
    ...     os.listdir(folder)
    ['model.npz']
    """
    module = _module(path, FORMATS, dict.fromkeys(EXPORTS, "net.export writes it"))
    net = network_of(net)
    with replacing(path) as file:
        module.save(net, file)


def load(path: Path) -> Network:
    """Read a network from a file.

    Nothing in the file is executed. A file that is refused has taken at most twice its size and 16 MiB of memory.

    Parameters
    ----------
    path : str or path-like
        A file that `Network.save` wrote.

    Returns
    -------
    Network

    Raises
    ------
    FormatError
        The file is no model, is damaged, or is of a newer version.
    ValueError
        The ending is not that of a known format.
    OSError
        The file cannot be read.

    Examples
    --------
    >>> import cbp, os, tempfile
    >>> net = cbp.Network([2, 3, 1])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     net.save(os.path.join(folder, "model.npz"))
    ...     cbp.load(os.path.join(folder, "model.npz")) == net
    True
    """
    module = _module(path, FORMATS, _READERS)
    with open(path, "rb") as file:
        try:
            net: Network = module.load(file, Network)
        except FormatError as error:
            raise FormatError(f"{os.fspath(path)} is not a model that cbp can read: {error}") from None
    return net


def export(net: Network, path: Path, **options: Any) -> None:
    """Write what a network computes for other programs: ONNX, C, FANN, MATLAB, by the ending of the name.

    Parameters
    ----------
    net : Network
    path : str or path-like
        A name that ends in .onnx, .c, .net, .mat or .m. An existing file is replaced.
    **options
        What the format has: see `cbp.io.onnx.to_model`, `cbp.io.c.export`, `cbp.io.fann.export`.

    Raises
    ------
    ValueError
        The ending is not that of a known format, or the format cannot express the network: the message says what.
    TypeError
        The format has no such option.
    ImportError
        A package that the format needs is not installed.
    OSError
        The file cannot be written; one that was there before is untouched.
    """
    module = _module(path, EXPORTS, dict.fromkeys(FORMATS, "net.save writes it"))
    check_options(os.path.splitext(os.fspath(path))[1], options)
    module.export(network_of(net), path, **options)


def options_of(ending: str) -> list[str]:
    """Return the names of the options that the format with this ending has."""
    module = importlib.import_module(EXPORTS[ending])
    parameters = inspect.signature(getattr(module, "to_model", module.export)).parameters.values()
    return [one.name for one in parameters if one.kind is one.KEYWORD_ONLY]


def check_options(ending: str, options: Iterable[str]) -> None:
    """Refuse an option that the format has not, with a guess at what was meant."""
    known = options_of(ending)
    for name in options:
        if not known:
            raise TypeError(f"{name}: {ending} has no options")
        if name not in known:
            raise TypeError(str(unknown(f"option of {ending}", name, known)))


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a new file beside `path` for writing; it takes its place when the block ends without an error.

    Parameters
    ----------
    path : str or path-like
        A link is followed; the permissions of an existing file are kept.

    Raises
    ------
    OSError
        Named after `path`, whatever part of the work it was that failed; one that names another file stays as it is.
    """
    import shutil

    target = os.path.realpath(path)
    folder, name = os.path.split(target)
    temporary = os.path.join(folder, f".{name}.{os.getpid()}-{os.urandom(4).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileNotFoundError):
            shutil.copymode(target, temporary)
        os.replace(temporary, target)
    except OSError as error:
        _remove(temporary)
        if error.filename not in (None, temporary):  # that of another file, written in the same block
            raise
        raise type(error)(error.errno, error.strerror or str(error), os.fspath(path)) from None
    except BaseException:
        _remove(temporary)
        raise
    _sync_folder(folder)


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.remove(path)


def _sync_folder(folder: str) -> None:
    """Make the new name survive a power cut, where folders can be opened (not on Windows)."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _module(path: Any, known: dict[str, str], hints: Mapping[str, str] = types.MappingProxyType({})) -> ModuleType:
    ending = os.path.splitext(os.fspath(path))[1]
    if ending not in known:
        hint = f"; {hints[ending]}" if ending in hints else ""
        raise ValueError(
            f"a model file ends in {' or '.join(known)}, not {ending or 'nothing'}: {os.fspath(path)}{hint}"
        )
    return importlib.import_module(known[ending])
