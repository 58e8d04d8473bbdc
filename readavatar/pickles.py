"""Reading pickles of arrays from untrusted sources, without running code in them.

A pickle names functions and classes to call. Only a few names are allowed, which build plain arrays and containers.
Classes of ``chumpy`` (in FLAME's files) and of ``scipy.sparse`` are replaced by placeholders with the pickled state,
from which the array is taken; no code of these packages runs, and chumpy need not be installed.
"""

from __future__ import annotations

import _codecs
import collections
import copyreg
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from readavatar.errors import UserError

_RECONSTRUCT = np.zeros(0).__reduce__()[0]
_SCALAR = np.float64(0).__reduce__()[0]
_FROM_BUFFER = np.zeros(1).__reduce_ex__(5)[0]


class ChumpyArray:
    """Placeholder of a ``chumpy`` object: its state is its ``__dict__``."""


class SparseMatrix:
    """Placeholder of a ``scipy.sparse`` matrix by columns (csc) or by coordinates (coo)."""


class SparseRowMatrix(SparseMatrix):
    """Placeholder of a matrix by rows (csr), whose state has the same form."""


def _ignored(*arguments: Any, **named: Any) -> None:
    """Replaces a constructor whose result is not used."""


_ALLOWED: dict[tuple[str, str], Any] = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _RECONSTRUCT for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _SCALAR for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _FROM_BUFFER for core in ("core", "_core")},
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    **{(module, kind.__name__): kind for module in ("builtins", "__builtin__") for kind in (object, set, frozenset)},
    **{(module, "_reconstructor"): copyreg._reconstructor for module in ("copyreg", "copy_reg")},
    ("_codecs", "encode"): _codecs.encode,
    ("collections", "OrderedDict"): collections.OrderedDict,
    # DECA's landmark file holds torch tensors for its moving contour, which is not used here.
    ("torch._utils", "_rebuild_tensor_v2"): _ignored,
    ("torch.storage", "_load_from_bytes"): _ignored,
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ALLOWED:
            return _ALLOWED[module, name]
        if module.split(".")[0] == "chumpy":
            return ChumpyArray
        if module.startswith("scipy.sparse") and name.endswith(("_matrix", "_array")):
            return SparseRowMatrix if name.startswith("csr") else SparseMatrix
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def read_array_pickle(path: str | Path) -> Any:
    """Unpickle a ``.pkl``, or the one object in a ``.npy``, of arrays, numbers, strings and containers.

    Raises:
        UserError: The file is missing or damaged, or asks for anything else.
    """
    path = Path(path)
    try:
        stream = io.BytesIO(path.read_bytes())
        if path.suffix == ".npy":
            version = np.lib.format.read_magic(stream)
            read_header = (
                np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            )
            read_header(stream)
        loaded = _ArrayUnpickler(stream, encoding="latin1").load()
    except OSError as error:
        raise UserError(f"Expected a pickle at '{path}', but it cannot be read ({error.strerror}).") from None
    except Exception as error:  # a damaged pickle can fail in any way
        raise UserError(
            f"Expected a pickle of plain arrays at '{path}', but it was refused: {error or type(error).__name__}."
        ) from None
    return loaded[()] if path.suffix == ".npy" else loaded


def as_array(value: Any) -> np.ndarray:
    """The dense array in a numpy array, a list, or one of the placeholders.

    Raises:
        ValueError: It contains no array.
    """
    state = getattr(value, "__dict__", {})
    if isinstance(value, ChumpyArray):
        if "x" not in state:
            raise ValueError("a chumpy expression instead of a chumpy array")
        return as_array(state["x"])
    if isinstance(value, SparseMatrix):
        shape = state.get("_shape", state.get("shape"))
        if "indptr" in state:
            kind = scipy.sparse.csr_matrix if isinstance(value, SparseRowMatrix) else scipy.sparse.csc_matrix
            return kind((state["data"], state["indices"], state["indptr"]), shape=shape).toarray()
        rows, columns = state["coords"] if "coords" in state else (state["row"], state["col"])
        return scipy.sparse.coo_matrix((state["data"], (rows, columns)), shape=shape).toarray()
    array = np.asarray(value)
    if array.dtype == object:
        raise ValueError("objects instead of numbers")
    return array
