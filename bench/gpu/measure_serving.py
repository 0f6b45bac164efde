"""Measures three things that tables of single kernels cannot tell: prefill as bursts between decode steps (clocks follow power), decode
attention with its KV in the L2 cache and out of it, and the host's cost of a step that no CUDA graph covers.

    python3 bench/gpu/measure_serving.py OUT_FOLDER

Writes serving.csv. Shapes are those of Llama-3.1-8B. Needs PyTorch and Triton only.
"""

import csv
import statistics
import sys
import time
import traceback
from pathlib import Path

import torch
import triton
import triton.language as tl

from triton_kernels import add_rms_norm, silu_mul

HIDDEN, INNER, LAYERS = 4096, 14336, 32
SHAPES = ((6144, HIDDEN), (HIDDEN, HIDDEN), (2 * INNER, HIDDEN), (HIDDEN, INNER))
ROWS = []


def add(what, variant, m, ns):
    ROWS.append((what, variant, m, round(ns, 1)))
    print(*ROWS[-1], flush=True)


def capture(call):
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph


def timed(graph):
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    graph.replay()
    end.record()
    return start, end


def measure_bursts(weights):
    gain = torch.ones(HIDDEN, dtype=torch.bfloat16, device="cuda")

    def chain(m):
        x, residual, attended = (torch.randn(m, HIDDEN, dtype=torch.bfloat16, device="cuda") for _ in range(3))
        qkv = torch.empty(m, 6144, dtype=torch.bfloat16, device="cuda")
        both = torch.empty(m, 2 * INNER, dtype=torch.bfloat16, device="cuda")
        half = torch.empty(m, INNER, dtype=torch.bfloat16, device="cuda")

        def run():
            for w in weights:
                add_rms_norm(x, residual, gain)
                torch.mm(x, w[0].t(), out=qkv)
                torch.mm(attended, w[1].t(), out=x)
                add_rms_norm(x, residual, gain)
                torch.mm(x, w[2].t(), out=both)
                silu_mul(both, half)
                torch.mm(half, w[3].t(), out=x)

        return capture(run)

    decode = chain(16)
    for m in (128, 256, 512, 600, 1024, 2048):
        prefill = chain(m)
        for between in (0, 1, 5, 30):
            pairs = []
            for _ in range(6 if between == 30 else 30):
                for _ in range(between):
                    decode.replay()
                pairs.append(timed(prefill))
            torch.cuda.synchronize()
            times = [start.elapsed_time(end) * 1e6 for start, end in pairs]
            add("prefill", f"{between} decode steps between", m, statistics.median(times[len(times) // 3 :]) / LAYERS)


@triton.jit
def _decode(q, k, v, out, CONTEXT: tl.constexpr, SPLIT: tl.constexpr, BLOCK: tl.constexpr):
    """Part of the context of one (sequence, KV head): 16 rows of queries, of which 4 are used."""
    pair, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    rows, dims = tl.arange(0, 16), tl.arange(0, 128)
    query = tl.load(q + pair * 16 * 128 + rows[:, None] * 128 + dims[None, :])
    top = tl.full((16,), -1e30, tl.float32)
    total = tl.zeros((16,), tl.float32)
    sums = tl.zeros((16, 128), tl.float32)
    for at in range(0, SPLIT, BLOCK):
        token = part * SPLIT + at + tl.arange(0, BLOCK)
        place = pair * CONTEXT * 128 + token[:, None] * 128 + dims[None, :]
        scores = tl.dot(query, tl.trans(tl.load(k + place))) * 0.088
        new = tl.maximum(top, tl.max(scores, 1))
        share = tl.exp(scores - new[:, None])
        total = total * tl.exp(top - new) + tl.sum(share, 1)
        sums = sums * tl.exp(top - new)[:, None] + tl.dot(share.to(tl.bfloat16), tl.load(v + place))
        top = new
    place = (pair * tl.num_programs(1) + part) * 16 * 128 + rows[:, None] * 128 + dims[None, :]
    tl.store(out + place, (sums / total[:, None]).to(tl.bfloat16))


def measure_cache():
    heads, split = 8, 256
    for batch, context in ((4, 512), (8, 512), (4, 1024), (8, 1024), (16, 512), (16, 1024), (32, 512), (64, 512), (64, 2048)):
        size = batch * heads * context * 128
        copies = max(1, min(24, int(1.5e9 // size // 4)))
        keys = [torch.randn(size, dtype=torch.bfloat16, device="cuda") for _ in range(copies)]
        values = [torch.randn(size, dtype=torch.bfloat16, device="cuda") for _ in range(copies)]
        q = torch.randn(batch * heads * 16 * 128, dtype=torch.bfloat16, device="cuda")
        out = torch.empty(batch * heads * (context // split) * 16 * 128, dtype=torch.bfloat16, device="cuda")
        grid = (batch * heads, context // split)
        for name, used in (("same KV", [0] * 24), ("other KV every time", [i % copies for i in range(24)])):

            def run(used=used):
                for i in used:
                    _decode[grid](q, keys[i], values[i], out, context, split, 64, num_warps=4, num_stages=3)

            graph = capture(run)
            graph.replay()
            pairs = [timed(graph) for _ in range(7)]
            torch.cuda.synchronize()
            ns = statistics.median(start.elapsed_time(end) * 1e6 for start, end in pairs) / 24
            add("decode attention", f"{name}; {batch} x {context}; {4 * size / 1e6:.0f} MB", batch, ns)


class Layer(torch.nn.Module):
    """As PyTorch sees a layer without attention; the compiler fuses norms and activation."""

    def __init__(self, weights):
        super().__init__()
        self.weights = weights
        self.gain = torch.ones(HIDDEN, dtype=torch.bfloat16, device="cuda")

    def norm(self, x, residual):
        total = x.float() + residual.float()
        scaled = total * torch.rsqrt(total.pow(2).mean(-1, keepdim=True) + 1e-5)
        return scaled.to(x.dtype) * self.gain, total.to(x.dtype)

    def forward(self, x, residual):
        linear = torch.nn.functional.linear
        x, residual = self.norm(x, residual)
        qkv = linear(x, self.weights[0])
        x = linear(qkv[:, :HIDDEN], self.weights[1])
        x, residual = self.norm(x, residual)
        gate, up = linear(x, self.weights[2]).chunk(2, -1)
        return linear(torch.nn.functional.silu(gate) * up, self.weights[3]), residual


def measure_eager(weights):
    layers = [Layer(w) for w in weights]
    x = torch.randn(16, HIDDEN, dtype=torch.bfloat16, device="cuda")

    def host(name, step):
        for _ in range(3):
            step()
        torch.cuda.synchronize()
        times = []
        for _ in range(9):
            start = time.perf_counter_ns()
            step()
            times.append((time.perf_counter_ns() - start) / LAYERS)
            torch.cuda.synchronize()
        add("host per layer", name, 16, statistics.median(times))

    def plain():
        a, b = x, x
        for layer in layers:
            a, b = layer(a, b)
        return a, b

    with torch.inference_mode():
        host("PyTorch: 4 products and about 20 small kernels", plain)
        try:
            step = torch.compile(plain)
            host("torch.compile: 4 products and 3 fused kernels", step)
        except Exception:
            print(traceback.format_exc().splitlines()[-3:], flush=True)


def measure_tiles():
    """Products at many m: where the steps of tiles and waves lie that a coarse table misses."""
    buffer = torch.empty(2**30, dtype=torch.bfloat16, device="cuda").normal_(0, 0.05)
    for n, k in SHAPES + ((7168, 5120), (34816, 5120), (5120, 17408), (37888, 3584)):
        copies = max(1, min(6, 2**30 // (n * k)))
        parts = [buffer[i * n * k : (i + 1) * n * k].view(n, k) for i in range(copies)]
        for m in [*range(272, 1056, 32), 591, 595, 1096, 1182, 1280, 1408, 1536, 1664, 1792, 1920]:
            x = torch.randn(m, k, dtype=torch.bfloat16, device="cuda")
            y = torch.empty(m, n, dtype=torch.bfloat16, device="cuda")

            def run():
                for i in range(6):
                    torch.mm(x, parts[i % copies].t(), out=y)

            graph = capture(run)
            graph.replay()
            pairs = []
            for _ in range(5):
                pairs.append(timed(graph))
                torch.cuda.synchronize()
                time.sleep(0.004)
            ns = statistics.median(start.elapsed_time(end) * 1e6 for start, end in pairs) / 6
            ROWS.append(("gemm", f"{n} x {k}", m, round(ns, 1)))


def main():
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(1)
    weights = [
        [torch.empty(n, k, dtype=torch.bfloat16, device="cuda").normal_(0, 0.02) for n, k in SHAPES] for _ in range(LAYERS)
    ]
    for section in (lambda: measure_bursts(weights), measure_cache, lambda: measure_eager(weights), measure_tiles):
        try:
            section()
        except Exception:  # the device is lent for minutes: what else can be measured is measured
            print(traceback.format_exc(), flush=True)
        with open(out / "serving.csv", "w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("what", "variant", "m", "time_ns"))
            writer.writerows(ROWS)


main()
