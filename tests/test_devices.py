"""What a device's name stands for on machines with and without GPUs."""

import pytest
import torch
from other_device import other_device

from readavatar import devices
from readavatar.devices import choose_device
from readavatar.errors import UserError


@pytest.fixture
def machine(monkeypatch):
    """Give this machine a number of CUDA devices, and perhaps Apple's GPU."""

    def equip(num_cuda: int, mps: bool = False, mps_suffices: bool = True) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: num_cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: num_cuda)
        monkeypatch.setattr(torch.cuda, "current_device", lambda: num_cuda - 1)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr(devices, "_mps_suffices", lambda: mps_suffices)

    return equip


@pytest.mark.parametrize(
    ("equipped", "expected"),
    [((0,), "cpu"), ((2, True), "cuda:1"), ((0, True), "mps"), ((0, True, False), "cpu")],
)
def test_auto_takes_cuda_then_mps_then_the_cpu(machine, equipped, expected):
    machine(*equipped)
    assert choose_device() == choose_device("auto") == torch.device(expected)


def test_a_named_device_is_taken_where_it_is_there(machine):
    machine(2, True)
    for name in ("cpu", "cuda:0", "cuda:1", "mps"):
        assert choose_device(name) == torch.device(name)
    assert choose_device("cuda") == torch.device("cuda:1"), "the current one, as in PyTorch"


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps", "tpu", "", "cuda:x"])
def test_a_device_that_is_not_there_is_one_line_with_those_that_are(machine, name):
    machine(0)
    with pytest.raises(UserError, match=rf"^Expected a device of auto, cpu, but got '{name}'\.$"):
        choose_device(name)
    machine(2)
    with pytest.raises(UserError, match="of auto, cpu, cuda:0, cuda:1, but got 'cuda:2'"):
        choose_device("cuda:2")


def test_apples_gpu_suffices_only_with_look_ups_that_repeat_the_edge(monkeypatch):
    def unsupported(*_, **__):
        raise RuntimeError("MPS: Unsupported Border padding mode")

    monkeypatch.setattr(torch, "zeros", lambda *shape, device: torch.empty(shape).zero_())
    assert devices._mps_suffices()
    monkeypatch.setattr(devices.F, "grid_sample", unsupported)
    assert not devices._mps_suffices()


def test_the_other_devices_stand_in_refuses_what_two_real_devices_refuse():
    here, layer = torch.zeros(2, 3), torch.nn.Linear(3, 4).requires_grad_(False)
    with other_device("cuda") as (device, calls):
        there = here.to(device)
        assert there.device == device and not there.is_cpu and torch.arange(2, device=device).is_cuda
        assert there[torch.tensor([0])].device == device, "an index may lie on the CPU"
        for mixed in (lambda: there + here, lambda: layer(there), lambda: torch.cat([there, here])):
            with pytest.raises(RuntimeError, match="one device"):
                mixed()
        with pytest.raises(TypeError, match="numpy"):
            there.numpy()
        result = layer.to(device)(there).cpu()
        weights = [each.cpu() for each in layer.parameters()]
        assert torch.equal(result, torch.nn.functional.linear(here, *weights))
        assert calls.there["linear"] == 1 and calls.here["linear"] == 1
    with other_device("mps") as (device, _), pytest.raises(TypeError, match="float64"):
        here.to(device).double()
