"""One decode step as a plain ATen program runs it, kernel by kernel: what our kernels and graphs are measured against.

usage: aten_eager.py MODEL [CONTEXT]; MODEL is qwen3-0.6b or r1-qwen-7b. Prints the median step of one sequence. The weights
are random, fused (q, k and v; gate and up) and bf16; keys and values lie in one piece and are appended in place.
"""
import statistics
import sys
import time

import torch
import torch.nn.functional as F

SHAPES = {  # width, feed forward, query heads, kv heads, vocabulary, bias of q, k, v, norms of heads
    "qwen3-0.6b": (1024, 3072, 16, 8, 151936, False, True),
    "r1-qwen-7b": (3584, 18944, 28, 4, 152064, True, False),
}
LAYERS, HEAD = 28, 128


def weight(rows, columns):
    return torch.randn(rows, columns, device="cuda", dtype=torch.bfloat16) / columns**0.5


def norm_weight(width):
    return torch.ones(width, device="cuda", dtype=torch.bfloat16)


class Layer:
    def __init__(self, shape, context_max):
        width, ffn, self.q_heads, self.kv_heads, _, bias, head_norms = shape
        rows = (self.q_heads + 2 * self.kv_heads) * HEAD
        self.qkv, self.out = weight(rows, width), weight(width, self.q_heads * HEAD)
        self.bias = weight(1, rows)[0] if bias else None
        self.gate_up, self.down = weight(2 * ffn, width), weight(width, ffn)
        self.norms = norm_weight(width), norm_weight(width)
        self.head_norms = (norm_weight(HEAD), norm_weight(HEAD)) if head_norms else None
        self.keys = torch.randn(1, self.kv_heads, context_max, HEAD, device="cuda", dtype=torch.bfloat16)
        self.values = torch.randn_like(self.keys)

    def step(self, x, cosine, sine, at):
        qkv = F.linear(F.rms_norm(x, x.shape[-1:], self.norms[0], 1e-6), self.qkv, self.bias)
        q, k, v = qkv.view(-1, HEAD).split([self.q_heads, self.kv_heads, self.kv_heads])
        if self.head_norms:
            q, k = (F.rms_norm(t, (HEAD,), w, 1e-6) for t, w in zip((q, k), self.head_norms))
        q, k = rotate(q, cosine, sine), rotate(k, cosine, sine)
        self.keys[0, :, at], self.values[0, :, at] = k, v
        mixed = F.scaled_dot_product_attention(q.view(1, self.q_heads, 1, HEAD), self.keys[:, :, : at + 1],
                                               self.values[:, :, : at + 1], enable_gqa=True)
        x = x + F.linear(mixed.reshape(1, -1), self.out)
        gate, up = F.linear(F.rms_norm(x, x.shape[-1:], self.norms[1], 1e-6), self.gate_up).chunk(2, -1)
        return x + F.linear(F.silu(gate) * up, self.down)


def rotate(x, cosine, sine):
    a, b = x.chunk(2, -1)
    return torch.cat([a * cosine - b * sine, b * cosine + a * sine], -1)


@torch.inference_mode()
def main(name, context):
    steps = 48
    shape = SHAPES[name]
    layers = [Layer(shape, context + steps) for _ in range(LAYERS)]
    embedding, last = weight(shape[4], shape[0]), norm_weight(shape[0])
    head = embedding if name == "qwen3-0.6b" else weight(shape[4], shape[0])
    angles = torch.outer(torch.arange(context + steps), 1e4 ** (-torch.arange(0, HEAD, 2) / HEAD)).cuda()
    cosine, sine = angles.cos().bfloat16(), angles.sin().bfloat16()
    token, times = 17, []
    for at in range(context, context + steps):
        begin = time.perf_counter()
        x = embedding[token][None]
        for layer in layers:
            x = layer.step(x, cosine[at], sine[at], at)
        token = F.linear(F.rms_norm(x, x.shape[-1:], last, 1e-6), head).argmax().item()
        times.append(time.perf_counter() - begin)
    print(f"{name} ATen eager decode 1 {statistics.median(times[8:]) * 1e3:.3f} ms")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 512)
