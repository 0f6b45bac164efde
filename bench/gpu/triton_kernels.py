"""The small kernels around the matrix products of a layer, and a grouped product for mixture-of-experts blocks, in Triton."""

import torch
import triton
import triton.language as tl


@triton.jit
def null_kernel(x):
    pass


@triton.jit
def _add_rms_norm(x, residual, gain, SIZE: tl.constexpr, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * SIZE + tl.arange(0, BLOCK)
    inside = tl.arange(0, BLOCK) < SIZE
    total = tl.load(x + at, mask=inside, other=0).to(tl.float32) + tl.load(residual + at, mask=inside, other=0).to(tl.float32)
    tl.store(residual + at, total.to(tl.bfloat16), mask=inside)
    scale = tl.rsqrt(tl.sum(total * total, 0) / SIZE + 1e-5)
    weight = tl.load(gain + tl.arange(0, BLOCK), mask=inside, other=0).to(tl.float32)
    tl.store(x + at, (total * scale * weight).to(tl.bfloat16), mask=inside)


def add_rms_norm(x, residual, gain):
    size = x.shape[1]
    _add_rms_norm[(x.shape[0],)](x, residual, gain, size, triton.next_power_of_2(size), num_warps=8)


@triton.jit
def _silu_mul(both, half, SIZE: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = column < SIZE
    gate = tl.load(both + row * 2 * SIZE + column, mask=inside, other=0).to(tl.float32)
    up = tl.load(both + row * 2 * SIZE + SIZE + column, mask=inside, other=0).to(tl.float32)
    tl.store(half + row * SIZE + column, (gate / (1 + tl.exp(-gate)) * up).to(tl.bfloat16), mask=inside)


def silu_mul(both, half):
    size = half.shape[1]
    _silu_mul[(half.shape[0], triton.cdiv(size, 1024))](both, half, size, 1024, num_warps=4)


@triton.jit
def _rotary(qkv, cos, STRIDE: tl.constexpr):
    row, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    half = tl.arange(0, 64)
    at = qkv + row * STRIDE + head * 128 + half
    angle = tl.load(cos + row * 64 + half)
    a, b = tl.load(at).to(tl.float32), tl.load(at + 64).to(tl.float32)
    tl.store(at, (a * angle - b * angle).to(tl.bfloat16))
    tl.store(at + 64, (b * angle + a * angle).to(tl.bfloat16))


def rotary(qkv, cos, heads):
    _rotary[(qkv.shape[0], heads)](qkv, cos, qkv.shape[1], num_warps=2)


@triton.jit
def _write_kv(qkv, cache, slots, OFFSET: tl.constexpr, STRIDE: tl.constexpr, SIZE: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, SIZE)
    slot = tl.load(slots + row)
    tl.store(cache + slot * SIZE + column, tl.load(qkv + row * STRIDE + OFFSET + column))


def write_kv(qkv, cache, slots, heads):
    _write_kv[(qkv.shape[0],)](qkv, cache, slots, heads * 128, qkv.shape[1], cache.shape[1], num_warps=4)


@triton.jit
def _grouped(
    a, b, c, rows, experts, N: tl.constexpr, K: tl.constexpr, valid, SHARE: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):
    """c[row] = a[row // SHARE] @ b[expert of the block].T for the rows of each block; rows >= valid are padding."""
    block, columns = tl.program_id(0) // tl.cdiv(N, BLOCK_N), tl.program_id(0) % tl.cdiv(N, BLOCK_N)
    row = tl.load(rows + block * BLOCK_M + tl.arange(0, BLOCK_M)).to(tl.int64)
    expert = tl.load(experts + block).to(tl.int64)
    column = columns * BLOCK_N + tl.arange(0, BLOCK_N)
    k = tl.arange(0, BLOCK_K)
    left = a + (row[:, None] // SHARE) * K + k[None, :]
    right = b + expert * N * K + column[None, :].to(tl.int64) * K + k[:, None]
    total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for _ in range(0, K, BLOCK_K):
        total = tl.dot(tl.load(left, mask=row[:, None] < valid, other=0.0), tl.load(right), total)
        left += BLOCK_K
        right += BLOCK_K
    tl.store(c + row[:, None] * N + column[None, :], total.to(tl.bfloat16), mask=row[:, None] < valid)


def moe_gemm(x, up, down, route, block):
    """A callable for one MoE block with this routing (tokens x top_k experts); rows are sorted by expert beforehand."""
    block_m, block_n, block_k = block
    tokens, top_k = route.shape
    flat = route.flatten()
    rows, experts = [], []
    for expert in range(up.shape[0]):
        own = (flat == expert).nonzero().flatten().tolist()
        while own:
            part, own = own[:block_m], own[block_m:]
            rows += part + [tokens * top_k] * (block_m - len(part))
            experts.append(expert)
    rows = torch.tensor(rows, dtype=torch.int32, device="cuda")
    blocks = len(experts)
    experts = torch.tensor(experts, dtype=torch.int32, device="cuda")
    wide, hidden, inner = up.shape[1], up.shape[2], down.shape[2]
    both = torch.empty(tokens * top_k, wide, dtype=torch.bfloat16, device="cuda")
    half = torch.empty(tokens * top_k, inner, dtype=torch.bfloat16, device="cuda")
    out = torch.empty(tokens * top_k, hidden, dtype=torch.bfloat16, device="cuda")
    valid = tokens * top_k

    def call():
        _grouped[(blocks * triton.cdiv(wide, block_n),)](
            x, up, both, rows, experts, wide, hidden, valid, top_k, block_m, block_n, block_k, num_warps=4, num_stages=4
        )
        silu_mul(both, half)
        inputs = half if down.dtype == torch.bfloat16 else half.to(down.dtype)
        _grouped[(blocks * triton.cdiv(hidden, block_n),)](
            inputs, down, out, rows, experts, hidden, inner, valid, 1, block_m, block_n, block_k, num_warps=4, num_stages=4
        )
        if top_k > 1:
            torch.sum(out.view(tokens, top_k, hidden), 1)

    return call
