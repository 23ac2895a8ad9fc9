"""The model of a Longspan job in PyTorch, written the way one would there.

Linear attention runs in chunks of 64 tokens, all chunks at once (three batched
matrix products and a small chunk-to-chunk product instead of a loop); softmax
attention is scaled_dot_product_attention; projections that share an input are
one matrix. Takes the resolved spec that `longspan validate --print json`
prints.
"""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F

CHUNK = 64
GATE_NORMALIZER = 16.0


def integer(spec, key, default=0):
    """JSON of protobuf writes 64-bit integers as strings."""
    return int(spec.get(key, default))


def rotary(x, base, offset=0):
    tokens, dim = x.shape[-2], x.shape[-1]
    half = dim // 2
    inverse = base ** (-torch.arange(half, dtype=torch.float32) / half)
    angles = torch.arange(offset, offset + tokens).float()[:, None] * inverse
    cos, sin = angles.cos(), angles.sin()
    a, b = x[..., :half], x[..., half:]
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


def chunked_linear_attention(q, k, v, log_decay):
    """q, k: [B, H, T, Dk]; v: [B, H, T, Dv]; log_decay: [B, H, T] or [H]."""
    batch, heads, tokens, key_dim = q.shape
    padding = -tokens % CHUNK
    if padding:
        q, k, v = (F.pad(x, (0, 0, 0, padding)) for x in (q, k, v))
    chunks = (tokens + padding) // CHUNK
    shape = (batch, heads, chunks, CHUNK, -1)
    q, k, v = q.reshape(shape), k.reshape(shape), v.reshape(shape)
    if log_decay.dim() == 1:  # constant per head
        inside = log_decay[:, None] * torch.arange(1, CHUNK + 1)
        inside = inside[None, :, None, :].expand(batch, heads, chunks, CHUNK)
    else:
        inside = F.pad(log_decay, (0, padding)).reshape(
            batch, heads, chunks, CHUNK).cumsum(-1)
    total = inside[..., -1]  # log decay of a whole chunk
    future = torch.ones(CHUNK, CHUNK, dtype=torch.bool).triu(1)
    decay = (inside[..., :, None] - inside[..., None, :]).masked_fill(
        future, -math.inf).exp()
    scores = (q @ k.transpose(-1, -2)) * decay
    # The state that each chunk adds, then the sum of those before it.
    added = (k * (total[..., None] - inside).exp()[..., None]).transpose(
        -1, -2) @ v
    ends = total.cumsum(-1)
    starts = ends - total
    later = torch.ones(chunks, chunks, dtype=torch.bool).triu(0)
    carry = (starts[..., :, None] - ends[..., None, :]).masked_fill(
        later, -math.inf).exp()
    entering = (carry @ added.flatten(-2)).view_as(added)
    out = scores @ v + (q * inside.exp()[..., None]) @ entering
    return out.reshape(batch, heads, tokens + padding, -1)[:, :, :tokens]


class LinearMixer(nn.Module):
    def __init__(self, width, spec, epsilon):
        super().__init__()
        self.heads = integer(spec, "heads")
        self.key_dim = integer(spec, "key_dim")
        self.value_dim = integer(spec, "value_dim")
        self.mixer = spec["mixer"]
        self.silu = spec.get("feature_map") == "SILU"
        self.gated = bool(spec.get("output_gate"))
        self.kernel = integer(spec, "short_convolution")
        keys, values = self.heads * self.key_dim, self.heads * self.value_dim
        gates = self.heads if self.mixer == "SIMPLE_GLA" else 0
        self.sizes = [keys, keys, values, values if self.gated else 0, gates]
        self.inputs = nn.Linear(width, sum(self.sizes), bias=False)
        if gates:
            self.gate_bias = nn.Parameter(torch.zeros(self.heads))
        if self.kernel:
            self.conv = nn.Conv1d(2 * keys + values, 2 * keys + values,
                                  self.kernel, groups=2 * keys + values,
                                  bias=False)
        self.norm = nn.RMSNorm(self.value_dim, eps=epsilon)
        self.output = nn.Linear(values, width, bias=False)
        if self.mixer == "LIGHTNING":
            slopes = 2.0 ** (-8.0 * torch.arange(1, self.heads + 1)
                             / self.heads)
            self.register_buffer("log_decay", -slopes)
        elif self.mixer == "RETENTION":
            self.register_buffer("log_decay", torch.log1p(
                -2.0 ** (-5.0 - torch.arange(self.heads))))
        else:
            self.register_buffer("log_decay", torch.zeros(self.heads))

    def project(self, x):
        q, k, v, gate, decay = self.inputs(x).split(self.sizes, dim=-1)
        return torch.cat((q, k, v), dim=-1), gate, decay

    def split_heads(self, qkv, offset=0):
        sizes = self.sizes[:3]
        dims = (self.key_dim, self.key_dim, self.value_dim)
        q, k, v = (part.unflatten(-1, (self.heads, dim)).transpose(1, 2)
                   for part, dim in zip(qkv.split(sizes, dim=-1), dims))
        if self.silu and not self.kernel:
            q, k = F.silu(q), F.silu(k)
        if self.mixer == "RETENTION":
            q, k = rotary(q, 10000.0, offset), rotary(k, 10000.0, offset)
        return q * self.key_dim ** -0.5, k, v

    def log_gates(self, decay):
        if self.mixer != "SIMPLE_GLA":
            return self.log_decay
        gates = F.logsigmoid(decay + self.gate_bias) / GATE_NORMALIZER
        return gates.transpose(1, 2)

    def finish(self, out, gate):
        out = self.norm(out.transpose(1, 2)).flatten(-2)
        return self.output(out * F.silu(gate) if self.gated else out)

    def forward(self, x):
        qkv, gate, decay = self.project(x)
        if self.kernel:
            padded = F.pad(qkv.transpose(1, 2), (self.kernel - 1, 0))
            qkv = F.silu(self.conv(padded)).transpose(1, 2)
        q, k, v = self.split_heads(qkv)
        out = chunked_linear_attention(q, k, v, self.log_gates(decay))
        return self.finish(out, gate)

    def initial_state(self, batch):
        return {
            "memory": torch.zeros(batch, self.heads, self.key_dim,
                                  self.value_dim),
            "tail": torch.zeros(batch, sum(self.sizes[:3]),
                                max(self.kernel - 1, 0)),
        }

    def step(self, x, state, position):
        qkv, gate, decay = self.project(x)
        if self.kernel:
            window = torch.cat((state["tail"], qkv.transpose(1, 2)), dim=-1)
            state["tail"] = window[..., 1:]
            qkv = F.silu((window * self.conv.weight[:, 0]).sum(-1))[:, None]
        q, k, v = self.split_heads(qkv, position)
        alpha = self.log_gates(decay).exp().reshape(-1, self.heads, 1, 1)
        state["memory"] = alpha * state["memory"] + k.transpose(-1, -2) @ v
        return self.finish(q @ state["memory"], gate)


class SoftmaxMixer(nn.Module):
    def __init__(self, width, spec):
        super().__init__()
        self.heads = integer(spec, "heads")
        self.key_heads = integer(spec, "key_heads")
        self.dim = integer(spec, "head_dim")
        self.window = integer(spec, "window")
        self.base = float(spec["rotary_base"])
        self.sizes = [self.heads * self.dim, self.key_heads * self.dim,
                      self.key_heads * self.dim]
        self.inputs = nn.Linear(width, sum(self.sizes), bias=False)
        self.output = nn.Linear(self.heads * self.dim, width, bias=False)
        self.masks = {}

    def mask(self, tokens):
        if tokens not in self.masks:
            ones = torch.ones(tokens, tokens, dtype=torch.bool)
            self.masks[tokens] = ones.tril() & ones.triu(1 - self.window)
        return self.masks[tokens]

    def split_heads(self, x, offset=0):
        q, k, v = (part.unflatten(-1, (-1, self.dim)).transpose(1, 2)
                   for part in self.inputs(x).split(self.sizes, dim=-1))
        return rotary(q, self.base, offset), rotary(k, self.base, offset), v

    def forward(self, x):
        q, k, v = self.split_heads(x)
        windowed = 0 < self.window < x.shape[1]
        out = F.scaled_dot_product_attention(
            q, k, v, attn_mask=self.mask(x.shape[1]) if windowed else None,
            is_causal=not windowed, enable_gqa=self.heads != self.key_heads)
        return self.output(out.transpose(1, 2).flatten(-2))

    def initial_state(self, batch):
        empty = torch.zeros(batch, self.key_heads, 0, self.dim)
        return {"keys": empty, "values": empty}

    def step(self, x, state, position):
        q, k, v = self.split_heads(x, position)
        keep = self.window - 1 if self.window else position
        first = max(state["keys"].shape[2] - keep, 0)
        state["keys"] = torch.cat((state["keys"][:, :, first:], k), dim=2)
        state["values"] = torch.cat((state["values"][:, :, first:], v), dim=2)
        out = F.scaled_dot_product_attention(
            q, state["keys"], state["values"],
            enable_gqa=self.heads != self.key_heads)
        return self.output(out.transpose(1, 2).flatten(-2))


class Block(nn.Module):
    def __init__(self, spec, kind):
        super().__init__()
        width = integer(spec, "hidden_size")
        epsilon = float(spec["norm_epsilon"])
        middle = integer(spec["mlp"], "intermediate_size")
        self.mixer_norm = nn.RMSNorm(width, eps=epsilon)
        self.mlp_norm = nn.RMSNorm(width, eps=epsilon)
        self.mixer = (LinearMixer(width, spec["linear"], epsilon)
                      if kind == "L" else SoftmaxMixer(width, spec["softmax"]))
        self.gate_up = nn.Linear(width, 2 * middle, bias=False)
        self.down = nn.Linear(middle, width, bias=False)

    def mlp(self, x):
        gate, up = self.gate_up(self.mlp_norm(x)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)

    def forward(self, x):
        return self.mlp(x + self.mixer(self.mixer_norm(x)))

    def step(self, x, state, position):
        return self.mlp(
            x + self.mixer.step(self.mixer_norm(x), state, position))


class Model(nn.Module):
    def __init__(self, spec):
        super().__init__()
        width = integer(spec, "hidden_size")
        vocabulary = integer(spec, "vocabulary_size", 256)
        pattern = spec["layer_pattern"]
        self.embedding = nn.Embedding(vocabulary, width)
        self.blocks = nn.ModuleList(
            Block(spec, pattern[i % len(pattern)])
            for i in range(integer(spec, "layer_count")))
        self.norm = nn.RMSNorm(width, eps=float(spec["norm_epsilon"]))
        self.head = nn.Linear(width, vocabulary, bias=False)
        scale = float(spec["initializer_scale"])
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=scale)
        if spec.get("tie_embeddings"):
            self.head.weight = self.embedding.weight

    def forward(self, tokens):
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))

    def loss(self, tokens, targets):
        return F.cross_entropy(self(tokens).flatten(0, 1), targets.flatten())

    def initial_state(self, batch):
        return [block.mixer.initial_state(batch) for block in self.blocks]

    def step(self, tokens, state, position):
        x = self.embedding(tokens)[:, None]
        for block, layer_state in zip(self.blocks, state):
            x = block.step(x, layer_state, position)
        return self.head(self.norm(x))[:, 0]
