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


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_tensor_from_a_gpu_can_be_used_without_one(pair: Pair) -> None:
    """The fallback would have none of the model."""
    pair.a.run("import os; os.environ['CUDA_VISIBLE_DEVICES'] = ''")
    pair.cell("import torch\na = torch.ones(5000, device='cuda')")
    pair.a.check("assert a.sum() == 5000")
