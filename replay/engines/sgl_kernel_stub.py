"""Stands in for SGLang's kernel package on a CPU without AVX-512 and AMX.

Enough for a dense model with `--attention-backend torch_native` and no speculative decoding.
`convert_weight_packed` is left out on purpose: SGLang asks for it to choose Intel's AMX path, and
without it every layer takes its plain PyTorch one.
"""

from collections.abc import Callable
from typing import NoReturn

import torch

__version__ = "0.0.0+cpustub"
_lib = torch.library.Library("sgl_kernel", "DEF")


def assign_req_to_token_pool_cpu(  # noqa: PLR0917  # the kernel's own signature
    req_pool_indices: torch.Tensor,
    req_to_token: torch.Tensor,
    start: torch.Tensor,
    end: torch.Tensor,
    out_cache_loc: torch.Tensor,
    pool_len: int,
) -> None:
    """Write where each request's new tokens lie in the KV pool."""
    del pool_len
    offset = 0
    places = zip(req_pool_indices.tolist(), start.tolist(), end.tolist(), strict=True)
    for request, first, last in places:
        count = last - first
        values = out_cache_loc[offset : offset + count].to(req_to_token.dtype)
        req_to_token[request, first:last] = values
        offset += count


def __getattr__(name: str) -> Callable[..., NoReturn]:
    """Return a function that says what is missing when it is called, not when it is imported."""
    if name.startswith("__") or not name.endswith("_cpu"):
        raise AttributeError(name)

    def missing(*_: object, **__: object) -> NoReturn:
        raise RuntimeError(f"sgl_kernel.{name} is not in the CPU stand-in")

    return missing
