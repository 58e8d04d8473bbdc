"""A second device for machines without one: tensors that say they lie on it and refuse what real ones would refuse.

Their values are on the CPU and computed there, by PyTorch's CPU kernels. Refused are operations on tensors of both
devices, turning one into an array, and double precision on ``mps``. It reaches as far as Python calls PyTorch: not into
other threads, nor into ``backward``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

_PROPERTIES = {getattr(Tensor, name).__get__: name for name in ("device", "is_cpu", "is_cuda", "is_mps")}
_TO_THE_CPU = {
    Tensor.cpu,
    Tensor.item,
    Tensor.tolist,
    Tensor.__float__,
    Tensor.__int__,
    Tensor.__bool__,
    Tensor.__len__,
}
_BETWEEN_DEVICES = {Tensor.copy_, Tensor.to, Tensor.type_as}
_ARRAYS = {Tensor.numpy, Tensor.__array__}


@dataclass
class Calls:
    """How often each of PyTorch's functions got tensors of each device, by the functions' names."""

    there: Counter = field(default_factory=Counter)
    here: Counter = field(default_factory=Counter)


class _Elsewhere(Tensor):
    place: torch.device
    calls: Calls

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        return _call(function, args, kwargs or {})


class _Mode(TorchFunctionMode):
    """For functions without a tensor among their arguments."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        return _call(function, args, kwargs or {})


@contextmanager
def other_device(kind: str = "cuda") -> Iterator[tuple[torch.device, Calls]]:
    """Give such a device, of type ``cuda`` or ``mps``, and count the calls."""
    _Elsewhere.place, _Elsewhere.calls = torch.device(kind, 0), Calls()
    with _Mode():
        yield _Elsewhere.place, _Elsewhere.calls


def _call(function, args: tuple, kwargs: dict):
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    is_there = any(isinstance(each, _Elsewhere) for each in tensors)
    with torch._C.DisableTorchFunctionSubclass():
        if is_there and function in _PROPERTIES:
            name = _PROPERTIES[function]
            return _Elsewhere.place if name == "device" else name == f"is_{_Elsewhere.place.type}"
        if is_there and function in _ARRAYS:
            raise TypeError(f"can't convert {_Elsewhere.place} device type tensor to numpy. Use Tensor.cpu() first.")
        if function is torch._has_compatible_shallow_copy_type:  # asked by ``nn.Module.to``
            return isinstance(args[0], _Elsewhere) == isinstance(args[1], _Elsewhere)
        if is_there and function not in _BETWEEN_DEVICES:
            _check_places(function, args, tensors)
        name = getattr(function, "__name__", "")
        if tensors and not name.startswith("__"):
            (_Elsewhere.calls.there if is_there else _Elsewhere.calls.here)[name] += 1
        goes_there = _target(function, args, kwargs, is_there)
        if name != "_parse_to":  # ``nn.Module.to``'s
            args, kwargs = tree_map(_named_here, (args, kwargs))
        result = function(*args, **kwargs)
        if function in _BETWEEN_DEVICES - {Tensor.copy_} | {Tensor.cpu} and goes_there != is_there:
            result = result.clone()  # another device is other memory
        return tree_map(lambda leaf: _placed(leaf, goes_there), result)


def _check_places(function, args: tuple, tensors: list[Tensor]) -> None:
    """Numbers and the indices of an indexed tensor may lie on the CPU."""
    if function is Tensor.__getitem__ and isinstance(args[0], _Elsewhere):
        return
    if any(each.dim() > 0 and not isinstance(each, _Elsewhere) for each in tensors):
        raise RuntimeError(f"Expected all tensors of {function} on one device, but got {_Elsewhere.place} and the CPU.")


def _is_there(value: object) -> bool:
    if isinstance(value, _Elsewhere):
        return True
    return isinstance(value, (torch.device, str)) and str(value).split(":")[0] == _Elsewhere.place.type


def _target(function, args: tuple, kwargs: dict, is_there: bool) -> bool:
    """Whether the result lies on the other device."""
    if function in _TO_THE_CPU:
        return False
    if kwargs.get("device") is not None:
        return _is_there(kwargs["device"])
    if function in (Tensor.to, Tensor.type_as):
        asked = [value for value in args[1:] if isinstance(value, (torch.device, str, Tensor))]
        return _is_there(asked[0]) if asked else is_there
    if function is Tensor.copy_:
        return isinstance(args[0], _Elsewhere)
    return is_there


def _named_here(value: object) -> object:
    return (
        torch.device("cpu")
        if isinstance(value, torch.device) or (_is_there(value) and isinstance(value, str))
        else value
    )


def _placed(value: object, there: bool) -> object:
    if not isinstance(value, Tensor):
        return value
    if there and _Elsewhere.place.type == "mps" and value.dtype == torch.float64:
        raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64.")
    if there == isinstance(value, _Elsewhere):
        return value
    return value.as_subclass(_Elsewhere if there else Tensor)
