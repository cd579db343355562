"""Tensors keep sharing storage, and one from a GPU lands where there is none. Needs torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.inkernel.rig import Pair

torch = pytest.importorskip("torch")


def test_tensors_that_share_storage_keep_sharing_it(pair: Pair) -> None:
    """A model whose layers share weights would train them apart."""
    pair.cell("import torch\na = torch.zeros(5000); v = a[10:20]\nm = torch.nn.Linear(2, 2)")
    pair.cell("a[10] = 5")
    pair.a.check("assert v[0] == 5\nv[1] = 7\nassert a[11] == 7 and m(torch.ones(2)).shape == (2,)")


def test_gradients_stay(pair: Pair) -> None:
    """A step in the next cell would do nothing, without a word."""
    pair.cell(
        "import torch\nw = torch.tensor([3.0], requires_grad=True); net = torch.nn.Linear(2, 1)\n"
        "opt = torch.optim.SGD(net.parameters(), lr=0.1)"
    )
    pair.cell(
        "net(torch.ones(1, 2)).sum().backward(); (w * w).sum().backward()\n"
        "g = w.grad; before = net.weight.detach().clone()"
    )
    check = "assert w.grad is g and g.item() == 6 and net.weight.grad.tolist() == [[1, 1]]"
    pair.a.check(f"{check}\nopt.step(); assert torch.allclose(net.weight, before - 0.1)")
    assert pair.back()["left_behind"] == {}
    pair.b.check(f"{check}\nw.grad += 1; assert g.item() == 7")


def test_how_fast_torch_may_be_stays(pair: Pair) -> None:
    """Products would have other last digits."""
    pair.cell(
        "import torch\ntorch.backends.cudnn.benchmark = True\n"
        "torch.set_float32_matmul_precision('high')"
    )
    check = "(torch.backends.cudnn.benchmark, torch.get_float32_matmul_precision())"
    pair.a.check(f"assert {check} == (True, 'high')")
    pair.a.run("torch.backends.cudnn.benchmark = False")
    pair.back()
    pair.b.check(f"assert {check} == (False, 'high')")


def test_a_tensor_that_was_computed_knows_that_its_steps_stayed(pair: Pair) -> None:
    """``loss.backward()`` would do nothing, and the training go on with what it was."""
    pair.cell(
        "import torch\nw = torch.ones(2, requires_grad=True)\n"
        "y = w * 3; loss = y.sum(); v = y[0]; both = [loss, y]"
    )
    assert pair.cell("z = y.detach()")["left_behind"] == {}
    pair.a.check(
        "assert loss.item() == 6 and both[1] is y and y.requires_grad and not y.is_leaf\n"
        "z[0] = 5; assert y[0] == v == 5 and (w * 2).sum().backward() is None"
    )
    told = "did not come along with its value: they ran in the pc"
    assert told in pair.a.run("loss.backward()")["evalue"]
    assert told in pair.a.run("(y * w).sum().backward()")["evalue"]
    pair.a.check("y += 1; assert y[1] == 4 and w.grad is not None")
    pair.back()
    assert "did not come along with its value" in pair.b.run("y.sum().backward()")["evalue"]


def test_a_tensor_keeps_its_steps_where_they_ran(pair: Pair) -> None:
    """A cell on the PC could not go on with what a cell there began."""
    pair.cell("import torch\nw = torch.ones(2, requires_grad=True); loss = (w * 3).sum()")
    pair.a.run("a = 1")
    pair.back()
    pair.b.check("loss.backward(); assert w.grad.tolist() == [3, 3]")


def test_switches_of_torch_stay(pair: Pair) -> None:
    """Results would have other last digits, or another speed."""
    pair.cell(
        "import torch\ntorch.backends.cudnn.deterministic = True\n"
        "torch.backends.cuda.matmul.allow_tf32 = True; torch.backends.mkldnn.enabled = False\n"
        "torch.autograd.set_detect_anomaly(True)"
    )
    pair.a.check(
        "assert torch.backends.cudnn.deterministic and torch.backends.cuda.matmul.allow_tf32\n"
        "assert not torch.backends.mkldnn.enabled and torch.is_anomaly_enabled()"
    )


def test_tensors_of_a_gpu_know_where_they_belong(pair: Pair) -> None:
    """A model would come back to the PC on its processor, and no batch on the GPU would fit it."""
    pair.b.run(
        "import torch, sys\nt = torch.ones(5000); v = t[:9]\n"
        # There is no GPU here, so the PC says that there is one.
        "sys.modules['_relay_inkernel.tensors'].device_of = lambda state, storage: 'cuda:0'"
    )
    assert pair.a.apply(pair.b.capture()) == {}
    pair.a.check("v[0] = 5; new = torch.zeros(5000)\nassert t[0] == 5 and t.device.type == 'cpu'")
    pair.a.check(
        "import sys\nhandlers = get_ipython().kernel.shell_handlers\n"
        "k = handlers['relay_capture_request'].__self__.state\n"
        "d = lambda x: sys.modules['_relay_inkernel.tensors'].device_of(k, x)\n"
        "found = [d(x.untyped_storage()) for x in (t, v, new)]; del k, d, handlers\n"
        "assert found == ['cuda:0', 'cuda:0', 'cpu'], found\ndel t, v; x = 1"
    )
    assert pair.back()["left_behind"] == {}
    pair.b.check(
        "import importlib; importlib.reload(sys.modules['_relay_inkernel.tensors'])"
        "\nassert new.sum() == 0 and x == 1 and 't' not in globals()"
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_tensor_from_a_gpu_can_be_used_without_one(pair: Pair) -> None:
    """The fallback would have none of the model."""
    pair.a.run("import os; os.environ['CUDA_VISIBLE_DEVICES'] = ''")
    pair.cell("import torch\na = torch.ones(5000, device='cuda')")
    pair.a.check("assert a.sum() == 5000")


def test_what_a_library_keeps_by_calls_alone_goes_on(pair: Pair) -> None:
    """Pyro's parameters would begin anew, and the optimizer would step others."""
    pytest.importorskip("pyro")
    begin = """
import pyro, torch; pyro.set_rng_seed(1)
from pyro import distributions as of
from pyro.infer import SVI, Trace_ELBO
def model(data): pyro.sample("o", of.Normal(pyro.sample("m", of.Normal(0, 1)), 1), obs=data)
def guide(data): pyro.sample("m", of.Normal(pyro.param("loc", torch.tensor(0.0)), 1))
data, svi = torch.tensor(2.0), SVI(model, guide, pyro.optim.Adam({"lr": 0.1}), Trace_ELBO())
"""
    go_on = "for _ in range(5): _ = svi.step(data)\nloc = pyro.param('loc').item()"
    same = (
        "assert pyro.param('loc').item() == loc and [*svi.optim.optim_objs] == [pyro.param('loc')]"
    )
    further = f"before = loc\n{go_on}\nassert loc != before"
    cells = [begin + go_on, same, further, same]
    for number, (cell, place) in enumerate(zip(cells, "baba", strict=True)):
        here = getattr(pair, place)
        if number:
            there = pair.b if place == "a" else pair.a
            assert not here.apply(there.capture())
        here.check(cell)
    pair.a.check("pyro.clear_param_store()")
    pair.b.apply(pair.a.capture())
    pair.b.check("assert not len(pyro.get_param_store())")
