"""Measures what the calibration of the H100 profile lacks or wants checked, on one GPU, and writes kernels.csv and device.json.

    python3 bench/gpu/measure_kernels.py OUT_FOLDER

Every time is the median over replays of a CUDA graph that holds several calls, divided by their number. Weights are taken from a buffer
that is far larger than the L2 cache, a different part for every call, so that they come from memory as in a model. Data are random
(zeros run faster). Needs PyTorch and Triton only. Clocks and power are left as they are.
"""

import csv
import datetime
import json
import statistics
import subprocess
import sys
import time
import traceback
from pathlib import Path

import torch
import triton

from triton_kernels import add_rms_norm, moe_gemm, null_kernel, rotary, silu_mul, write_kv

ROWS = []
L2_BYTES_TIMES_4 = 200 * 2**20
MS = [1, 2, 4, 8, 12, 16, 17, 24, 32, 33, 48, 64, 65, 80, 96, 97, 112, 128, 129, 144, 160, 192, 193, 224, 256, 257]
MS += [320, 384, 385, 448, 512, 513, 640, 768, 896, 1024, 1025, 1536, 2048, 2049, 3072, 4096]
# (n, k) of qkv, output, gate and up, down, LM head, per GPU.
GEMMS = {
    "llama-3.1-8b": [(6144, 4096), (4096, 4096), (28672, 4096), (4096, 14336), (128256, 4096)],
    "qwen2.5-7b": [(4608, 3584), (3584, 3584), (37888, 3584), (3584, 18944), (152064, 3584)],
    "qwen3-14b": [(7168, 5120), (5120, 5120), (34816, 5120), (5120, 17408), (151936, 5120)],
    "mixtral-8x7b-tp2": [(3072, 4096), (4096, 2048), (16000, 4096)],
    "llama-3.1-70b-tp4": [(2560, 8192), (8192, 2048), (14336, 8192), (8192, 7168), (32064, 8192)],
}
GEMMS_FP8 = {
    "llama-4-scout-tp2": [(3584, 5120), (5120, 2560), (8192, 5120), (5120, 4096)],
    "llama-3.1-8b": [(6144, 4096), (4096, 4096), (28672, 4096), (4096, 14336)],
}


def add(op, variant, m, n, k, ns):
    ROWS.append((op, variant, m, n, k, round(ns, 1)))


def graph_ns(calls, replays=7):
    """Median time of one call, ns."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for call in calls[:2]:
            call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for call in calls:
            call()
    for _ in range(2):
        graph.replay()
    times = []
    for _ in range(replays):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) * 1e6)
    return statistics.median(times) / len(calls)


class Weights:
    """Parts of one large random buffer, a different one at every call."""

    def __init__(self, elements, dtype):
        source = torch.empty(elements, dtype=torch.bfloat16, device="cuda").normal_(0, 0.05)
        self.buffer = source if dtype == torch.bfloat16 else source.to(dtype)
        self.at = 0

    def take(self, n, k):
        size = n * k
        if self.at + size > self.buffer.numel():
            self.at = 0
        part = self.buffer[self.at : self.at + size].view(n, k)
        self.at += (size + 1023) // 1024 * 1024
        return part

    def copies(self, n, k):
        size = n * k * self.buffer.element_size()
        return max(1, min(48, -(-L2_BYTES_TIMES_4 // size)))


def smi():
    fields = "name,driver_version,clocks.sm,clocks.mem,clocks.max.sm,power.draw,power.limit,temperature.gpu"
    return subprocess.run(
        ["nvidia-smi", f"--query-gpu={fields}", "--format=csv"], capture_output=True, text=True, check=True
    ).stdout.strip()


def measure_bandwidth():
    for mib in (64, 512, 4096):
        a = torch.empty(mib * 2**20 // 2, dtype=torch.bfloat16, device="cuda").normal_()
        b = torch.empty_like(a)
        ns = graph_ns([lambda: b.copy_(a)] * 4)
        add("copy", "bytes read and written", 2 * mib * 2**20, 0, 0, ns)
    add("read", "sum: bytes read", 4096 * 2**20, 0, 0, graph_ns([lambda: torch.sum(a.view(1024, -1), 1)] * 4))


def measure_gemm():
    weights = Weights(2**31 - 2**20, torch.bfloat16)
    done = set()
    for model, shapes in GEMMS.items():
        for n, k in shapes:
            if (n, k) in done:
                continue
            done.add((n, k))
            head = n > 40000 or "head" in model
            for m in MS:
                if head and m > 513:
                    continue
                x = torch.randn(m, k, dtype=torch.bfloat16, device="cuda")
                y = torch.empty(m, n, dtype=torch.bfloat16, device="cuda")
                count = max(6, weights.copies(n, k))
                parts = [weights.take(n, k) for _ in range(count)]
                add("gemm", "bf16", m, n, k, graph_ns([lambda w=w: torch.mm(x, w.t(), out=y) for w in parts]))


def measure_gemm_fp8():
    weights = Weights(2**30, torch.float8_e4m3fn)
    for shapes in GEMMS_FP8.values():
        for n, k in shapes:
            for m in MS:
                x = torch.randn(m, k, device="cuda").to(torch.float8_e4m3fn)
                rows, columns = torch.rand(m, 1, device="cuda") + 0.5, torch.rand(1, n, device="cuda") + 0.5
                one = torch.ones((), device="cuda")
                parts = [weights.take(n, k) for _ in range(max(6, weights.copies(n, k)))]

                def call(w, a, b):
                    torch._scaled_mm(x, w.t(), scale_a=a, scale_b=b, out_dtype=torch.bfloat16, use_fast_accum=True)

                add("gemm", "fp8 row-wise", m, n, k, graph_ns([lambda w=w: call(w, rows, columns) for w in parts]))
                add("gemm", "fp8 tensor-wise", m, n, k, graph_ns([lambda w=w: call(w, one, one) for w in parts]))


def measure_launches():
    x = torch.zeros(1, device="cuda")
    for count in (100, 1000):
        add("launch", "graph: add of one element", count, 0, 0, graph_ns([lambda: x.add_(1)] * count))
        add("launch", "graph: empty Triton kernel", count, 0, 0, graph_ns([lambda: null_kernel[(1,)](x)] * count))
    w = torch.randn(512, 512, dtype=torch.bfloat16, device="cuda")
    a = torch.randn(16, 512, dtype=torch.bfloat16, device="cuda")
    out = torch.empty(16, 512, dtype=torch.bfloat16, device="cuda")
    eager = {
        "add of one element": lambda: x.add_(1),
        "linear": lambda: torch.nn.functional.linear(a, w),
        "mm into": lambda: torch.mm(a, w, out=out),
        "empty Triton kernel": lambda: null_kernel[(1,)](x),
    }
    for name, call in eager.items():
        host = []
        for _ in range(5):
            torch.cuda.synchronize()
            start = time.perf_counter_ns()
            for _ in range(1000):
                call()
            torch.cuda.synchronize()
            host.append((time.perf_counter_ns() - start) / 1000)
        add("launch", f"eager: {name}", 1000, 0, 0, statistics.median(host))


def measure_elementwise():
    for hidden, inner, heads, kv_heads in ((4096, 14336, 32, 8), (5120, 17408, 40, 8), (8192, 7168, 16, 2)):
        gain = torch.randn(hidden, dtype=torch.bfloat16, device="cuda")
        for m in (1, 8, 32, 64, 128, 256, 512, 1024, 2048, 4096):
            x = torch.randn(m, hidden, dtype=torch.bfloat16, device="cuda")
            residual = torch.randn_like(x)
            both = torch.randn(m, 2 * inner, dtype=torch.bfloat16, device="cuda")
            half = torch.empty(m, inner, dtype=torch.bfloat16, device="cuda")
            qkv = torch.randn(m, (heads + 2 * kv_heads) * 128, dtype=torch.bfloat16, device="cuda")
            cos = torch.randn(m, 64, device="cuda")
            cache = torch.zeros(8192, 2 * kv_heads * 128, dtype=torch.bfloat16, device="cuda")
            slots = torch.randperm(8192, device="cuda")[:m]
            add("elementwise", "add and RMS norm", m, hidden, 0, graph_ns([lambda: add_rms_norm(x, residual, gain)] * 50))
            add("elementwise", "silu and multiply", m, inner, 0, graph_ns([lambda: silu_mul(both, half)] * 50))
            add("elementwise", "rotary", m, heads + kv_heads, 0, graph_ns([lambda: rotary(qkv, cos, heads + kv_heads)] * 50))
            add("elementwise", "KV write", m, kv_heads, 0, graph_ns([lambda: write_kv(qkv, cache, slots, heads)] * 50))


def sample(logits, top_k, top_p, filters):
    """vLLM `v1/sample/ops/topk_topp_sampler.py`, the PyTorch path: sort, mask, scatter, softmax, exponential race."""
    logits = logits.float()
    logits = logits.div_(0.7)
    if filters:
        ordered, order = logits.sort(dim=-1, descending=False)
        if top_k is not None:
            at = ordered.size(1) - top_k
            ordered.masked_fill_(ordered < ordered.gather(1, at.unsqueeze(1)), -float("inf"))
        total = ordered.softmax(dim=-1).cumsum_(dim=-1)
        mask = total <= 1 - top_p.unsqueeze(1)
        mask[:, -1] = False
        ordered.masked_fill_(mask, -float("inf"))
        logits = logits.scatter_(dim=-1, index=order, src=ordered)
    probabilities = logits.softmax(dim=-1, dtype=torch.float32)
    noise = torch.empty_like(probabilities).exponential_()
    return probabilities.div_(noise).argmax(dim=-1)


def measure_sampling():
    for vocab in (32000, 128256, 151936, 202048):
        for batch in (1, 4, 8, 16, 32, 64, 96, 128):
            logits = torch.randn(batch, vocab, dtype=torch.bfloat16, device="cuda")
            k = torch.full((batch,), 20, dtype=torch.long, device="cuda")
            p = torch.full((batch,), 0.8, device="cuda")
            add("sample", "temperature", batch, vocab, 0, graph_ns([lambda: sample(logits, None, None, False)] * 4))
            add("sample", "top-p", batch, vocab, 0, graph_ns([lambda: sample(logits, None, p, True)] * 4))
            add("sample", "top-k and top-p", batch, vocab, 0, graph_ns([lambda: sample(logits, k, p, True)] * 4))
            add("sample", "greedy", batch, vocab, 0, graph_ns([lambda: logits.float().argmax(dim=-1)] * 4))


def measure_moe():
    shapes = (("bf16", 8, 2, 4096, 7168), ("bf16", 8, 2, 6144, 4096), ("fp8", 16, 1, 5120, 4096))
    for variant, experts, top_k, hidden, inner in shapes:
        dtype = torch.bfloat16 if variant == "bf16" else torch.float8_e4m3fn
        up = torch.empty(experts, 2 * inner, hidden, dtype=torch.bfloat16, device="cuda").normal_(0, 0.05).to(dtype)
        down = torch.empty(experts, hidden, inner, dtype=torch.bfloat16, device="cuda").normal_(0, 0.05).to(dtype)
        for m in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048):
            x = torch.randn(m, hidden, dtype=torch.bfloat16, device="cuda").to(dtype)
            blocks = ((16, 64, 128), (16, 128, 128)) if m * top_k / experts <= 16 else ((64, 128, 64), (128, 128, 64))
            for block in blocks:
                routes = [torch.stack([torch.randperm(experts, device="cuda")[:top_k] for _ in range(m)]) for _ in range(8)]
                calls = [moe_gemm(x, up, down, route, block) for route in routes]
                covered = statistics.mean(len(route.unique()) for route in routes) / experts
                add("moe", f"{variant} E={experts} top={top_k} block={'x'.join(map(str, block))} covered={covered:.3f}", m, hidden, inner, graph_ns(calls))


def measure_layers():
    """32 layers of Llama-3.1-8B without attention, every weight its own: what kernels cost one after the other, under sustained load."""
    hidden, inner, heads, kv_heads, layers = 4096, 14336, 32, 8, 32
    shapes = ((6144, hidden), (hidden, hidden), (2 * inner, hidden), (hidden, inner))
    weights = [[torch.empty(n, k, dtype=torch.bfloat16, device="cuda").normal_(0, 0.02) for n, k in shapes] for _ in range(layers)]
    gain = torch.ones(hidden, dtype=torch.bfloat16, device="cuda")
    for m in (1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048):
        x, residual, attended = (torch.randn(m, hidden, dtype=torch.bfloat16, device="cuda") for _ in range(3))
        qkv, both = (torch.empty(m, n, dtype=torch.bfloat16, device="cuda") for n in (6144, 2 * inner))
        half = torch.empty(m, inner, dtype=torch.bfloat16, device="cuda")
        cos = torch.randn(m, 64, device="cuda")
        cache = torch.zeros(4096, 2 * kv_heads * 128, dtype=torch.bfloat16, device="cuda")
        slots = torch.randperm(4096, device="cuda")[:m]

        def layer(w):
            add_rms_norm(x, residual, gain)
            torch.mm(x, w[0].t(), out=qkv)
            rotary(qkv, cos, heads + kv_heads)
            write_kv(qkv, cache, slots, heads)
            torch.mm(attended, w[1].t(), out=x)
            add_rms_norm(x, residual, gain)
            torch.mm(x, w[2].t(), out=both)
            silu_mul(both, half)
            torch.mm(half, w[3].t(), out=x)

        def gemms(w):
            torch.mm(x, w[0].t(), out=qkv)
            torch.mm(attended, w[1].t(), out=x)
            torch.mm(x, w[2].t(), out=both)
            torch.mm(half, w[3].t(), out=x)

        add("layer", "llama-3.1-8b without attention", m, 0, 0, graph_ns([lambda w=w: layer(w) for w in weights], 40))
        add("layer", "llama-3.1-8b GEMMs alone", m, 0, 0, graph_ns([lambda w=w: gemms(w) for w in weights], 40))


def main():
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(1)
    device = {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "device": torch.cuda.get_device_name(),
        "multiprocessors": torch.cuda.get_device_properties(0).multi_processor_count,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "triton": triton.__version__,
        "smiBefore": smi(),
        "seconds": {},
        "errors": {},
    }
    sections = (
        measure_bandwidth, measure_launches, measure_elementwise, measure_sampling,
        measure_layers, measure_gemm, measure_moe, measure_gemm_fp8,
    )
    for section in sections:
        start = time.perf_counter()
        try:
            section()
        except Exception:  # the device is lent for minutes: what else can be measured is measured
            device["errors"][section.__name__] = traceback.format_exc().splitlines()[-4:]
        torch.cuda.empty_cache()
        device["seconds"][section.__name__] = round(time.perf_counter() - start, 1)
        device["smiAfter"] = smi()
        with open(out / "kernels.csv", "w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("op", "variant", "m", "n", "k", "time_ns"))
            writer.writerows(ROWS)
        (out / "device.json").write_text(json.dumps(device, indent=2) + "\n")
        print(section.__name__, device["seconds"][section.__name__], device["errors"].get(section.__name__, ""), flush=True)
    print(json.dumps(device, indent=2))
    for row in ROWS:
        if row[0] in ("copy", "read", "launch", "layer", "moe"):
            print(*row)


main()
