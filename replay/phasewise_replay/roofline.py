"""Step time of an engine by a roofline: bound by compute or by memory, whichever takes longer.

    step = max(2·active·tokens / (MFU·F), weights / (MBU·W))
         + 4·layers·heads·head_dim·Σ P·(K + (P+1)/2) / (MFU·F)      attention of a chunk
         + kv_bytes·context / (MBU·W) + host

P new tokens after K cached ones; a decoded token is P = 1. This is the common roofline with MFU 0.7
and MBU 0.8. Against measured kernels it is 6-11 % off in decode and 15-20 % in prefill, so its
times are always labelled as simulated.
"""

from dataclasses import dataclass

from phasewise_analyzer.hardware import Gpu, Model

MFU = 0.7
"""share of the peak FLOP/s that prefill reaches"""
MBU = 0.8
"""share of the peak bandwidth that decode reaches"""
HOST_S = 1e-3
"""scheduling and sampling of one step"""


@dataclass(frozen=True, slots=True)
class Roofline:
    """Step times of one model on one GPU, one sequence at a time, in seconds."""

    gpu: Gpu
    model: Model

    def prefill_s(self, new_tokens: int, cached_tokens: int, *, chunk_tokens: int) -> float:
        """Time to prefill a prompt in chunks after its cached tokens."""
        total = 0.0
        done = 0
        while done < new_tokens:
            chunk = min(chunk_tokens, new_tokens - done)
            total += self.step_s(chunk, cached_tokens + done)
            done += chunk
        return total

    def decode_s(self, output_tokens: int, prompt_tokens: int) -> float:
        """Time to decode the tokens after the first one, which prefill produces."""
        steps = max(0, output_tokens - 1)
        # the context grows by one a step and every term is linear in it: the mean is exact
        middle = prompt_tokens + (steps + 1) / 2
        return steps * self.step_s(1, middle)

    def step_s(self, tokens: int, context: float) -> float:
        """Time of one step with `tokens` new tokens after `context` others."""
        flops, bytes_s = MFU * self.gpu.flops, MBU * self.gpu.bytes_s
        linear = 2 * self.model.active * tokens / flops
        # a step with many tokens reads all experts, one with few only the active ones
        read = min(self.model.weight_bytes, self.model.active_bytes * tokens)
        shape = self.model
        pairs = tokens * (context + (tokens + 1) / 2)
        attention = 4 * shape.layers * shape.heads * shape.head_dim * pairs / flops
        cache = shape.kv_bytes * (context + tokens) / bytes_s
        return max(linear, read / bytes_s) + attention + cache + HOST_S

    def kv_blocks(self, block_tokens: int, *, memory_share: float = 0.9) -> int:
        """Blocks that fit beside the weights; 0.9 is vLLM's `--gpu-memory-utilization`."""
        free = self.gpu.memory_bytes * memory_share - self.model.weight_bytes
        return max(0, int(free // (self.model.kv_bytes * block_tokens)))
