#!/usr/bin/env python3
"""Writes linear_layer_*.txt: whole linear attention layers by an implementation
that shares nothing with ours, the layers of flash-linear-attention on CPU
PyTorch (float32), with gradients by autograd.

    python3 -m venv /tmp/golden
    /tmp/golden/bin/pip install torch einops numpy packaging transformers
    /tmp/golden/bin/pip install --no-deps fla-core==0.6.0
    /tmp/golden/bin/pip install --no-deps flash-linear-attention==0.6.0
    /tmp/golden/bin/python tests/golden/linear_layers.py

What runs is the package's own forward code of each layer. The kernels that it
calls need a GPU; in their place stand the package's naive recurrences, norms and
rotary positions, and a convolution of a few lines (below). Mamba-2 brings a
recurrence of its own, whose groups are mended below, Based and ReBased a forward
in plain PyTorch.

Lightning is no layer of the package: `Lightning` below is one of plain PyTorch
around the package's naive recurrence with a constant gate a head. Hedgehog's
paper divides by its sums where the package's layer has a norm; here the layer
has the normaliser and no norm.

Numbers that go in are a formula (`values` below, and in the test), so that only
those that come out are kept: the output, and the gradients of the input and of
every parameter, one line per tensor, its name and its numbers, row-major.
"""

import inspect
import math
import pathlib
import textwrap

import torch
import torch.nn.functional as F
from fla.layers import (
    based, delta_net, gated_deltanet, gla, hgrn2, kda, linear_attn, mamba2,
    multiscale_retention, rebased, simple_gla)
from fla.modules import feature_map
from fla.modules.layernorm_gated import rms_norm_ref
from fla.modules.rotary import rotary_embedding_ref
from fla.ops.delta_rule.naive import delta_rule_recurrence
from fla.ops.gated_delta_rule.naive import naive_recurrent_gated_delta_rule
from fla.ops.gla.naive import naive_recurrent_gla
from fla.ops.kda.gate import naive_kda_gate
from fla.ops.kda.naive import naive_recurrent_kda
from fla.ops.linear_attn.naive import naive_recurrent_linear_attn
from fla.ops.retention.naive import naive_retention
from fla.ops.simple_gla.naive import naive_recurrent_simple_gla

TOKENS, HIDDEN, EPSILON = 20, 8, 1e-5


def values(seed, *shape):
    i = torch.arange(math.prod(shape), dtype=torch.int64)
    unit = (31 * i * i + 7919 * i + 104729 * seed) % 10007
    return (unit.double() / 10007 - 0.5).float().reshape(shape)


def seed_of(name):
    return sum(name.encode())


# ---- What stands in for kernels ----------------------------------------------

def convolve(x, weight, activation):
    """x [B, T, C], weight [C, K]."""
    taps = weight.shape[-1]
    y = F.conv1d(F.pad(x.transpose(1, 2), (taps - 1, 0)), weight[:, None],
                 groups=weight.shape[0]).transpose(1, 2)
    return F.silu(y) if activation in ("silu", "swish") else y


def short_convolution(self, x, **_):
    return convolve(x, self.weight.squeeze(1), self.activation), None


def causal_conv1d(x, weight, activation=None, **_):
    return convolve(x, weight, activation), None


def rms_norm(self, x):
    return rms_norm_ref(x, self.weight, None, eps=EPSILON)


def gated_rms_norm(self, x, gate):
    f = torch.sigmoid if self.activation == "sigmoid" else F.silu
    return rms_norm_ref(x, self.weight, None, eps=EPSILON) * f(gate)


def rms_norm_linear(x, norm_weight, _norm_bias, weight, _bias):
    return F.linear(rms_norm_ref(x, norm_weight, None, eps=EPSILON), weight)


def mamba_norm(self, x, z):
    return rms_norm_ref(x, self.weight, None, z, eps=EPSILON,
                        group_size=self.group_size,
                        norm_before_gate=self.norm_before_gate)


def unit(x):
    return x * torch.rsqrt((x * x).sum(-1, keepdim=True) + 1e-6)


def delta_rule(q, k, v, beta, **_):
    o, _ = delta_rule_recurrence(
        *(x.transpose(1, 2) for x in (unit(q), unit(k), v, beta)))
    return o.transpose(1, 2), None


def strength(beta, allow_neg_eigval):
    return beta.sigmoid() * (2 if allow_neg_eigval else 1)


def gated_delta_rule(q, k, v, g, beta, A_log, dt_bias, allow_neg_eigval, **_):
    gate = -A_log.exp() * F.softplus(g + dt_bias)
    repeats = v.shape[2] // q.shape[2]
    q, k = (unit(x).repeat_interleave(repeats, 2) for x in (q, k))
    o, _ = naive_recurrent_gated_delta_rule(
        q, k, v, strength(beta, allow_neg_eigval), gate)
    return o, None


def kimi_delta_attention(q, k, v, g, beta, A_log, dt_bias, allow_neg_eigval,
                         **_):
    return naive_recurrent_kda(unit(q), unit(k), v,
                               naive_kda_gate(g, A_log, dt_bias),
                               strength(beta, allow_neg_eigval))


def gated_linear_attention(q, k, v, gk, **_):
    return naive_recurrent_gla(q, k, v, gk)


def simple_gated_linear_attention(q, k, v, g, **_):
    return naive_recurrent_simple_gla(q, k, v, g)


def plain_linear_attention(q, k, v, normalize=False, **_):
    o, state = naive_recurrent_linear_attn(q, k, v)
    if normalize:
        sums, _ = naive_recurrent_linear_attn(q, k, torch.ones_like(v))
        o = o / (sums + 1e-6)
    return o, state


def retention(q, k, v, **_):
    return naive_retention(
        *(x.transpose(1, 2) for x in (q, k, v))).transpose(1, 2), None


def rotary(self, q, k, **_):
    self._update_cos_sin_cache(q.shape[1], device=q.device, dtype=q.dtype)
    return (rotary_embedding_ref(x, self._cos_cached, self._sin_cached)
            for x in (q, k))


def layer_norm(x, weight, bias):
    return F.layer_norm(x, weight.shape, weight, bias, EPSILON)


def mend_groups_of_mamba2():
    """Its recurrence for CPUs gives head h group h mod n_groups; its kernels,
    and so all models, give h // (num_heads / n_groups)."""
    source = textwrap.dedent(inspect.getsource(mamba2.Mamba2.torch_forward))
    tiled = "repeat(1, 1, self.num_heads // self.n_groups, 1)"
    assert source.count(tiled) == 2
    exec(source.replace(
        tiled, "repeat_interleave(self.num_heads // self.n_groups, 2)"),
        vars(mamba2))
    mamba2.Mamba2.torch_forward = mamba2.torch_forward


mend_groups_of_mamba2()
# Classes that the layers' modules share.
delta_net.ShortConvolution.forward = short_convolution
delta_net.FusedRMSNormGated.forward = gated_rms_norm
delta_net.RMSNorm.forward = rms_norm
gated_deltanet.causal_conv1d = causal_conv1d
delta_net.fused_recurrent_delta_rule = delta_rule
gated_deltanet.chunk_gated_delta_rule = gated_delta_rule
kda.chunk_kda = kimi_delta_attention
hgrn2.fused_recurrent_gla = gated_linear_attention
gla.fused_recurrent_gla = gated_linear_attention
simple_gla.chunk_simple_gla = simple_gated_linear_attention
simple_gla.fused_recurrent_simple_gla = simple_gated_linear_attention
linear_attn.chunk_linear_attn = plain_linear_attention
multiscale_retention.chunk_retention = retention
multiscale_retention.RotaryEmbedding.forward = rotary
based.BasedLinearAttention.forward = based.BasedLinearAttention.forward_reference
rebased.ReBasedLinearAttention.forward = (
    rebased.ReBasedLinearAttention.forward_reference)
feature_map.layer_norm = layer_norm
hgrn2.rms_norm_linear = rms_norm_linear
hgrn2.swish = F.silu
mamba2.RMSNormGated.forward = mamba_norm
mamba2.ACT2FN = {"silu": F.silu}


# ---- The layers --------------------------------------------------------------

class Lightning(torch.nn.Module):
    """Lightning Attention-2 (arXiv 2401.04658) with a norm per head: silu of q
    and k, decays exp(-2^(-8 (h + 1) / heads)), norm, output gate."""

    def __init__(self, heads):
        super().__init__()
        self.heads = heads
        for name in ("q_proj", "k_proj", "v_proj", "g_proj", "o_proj"):
            setattr(self, name, torch.nn.Linear(HIDDEN, HIDDEN, bias=False))
        self.g_norm_swish_gate = torch.nn.Module()
        self.g_norm_swish_gate.weight = torch.nn.Parameter(
            torch.ones(HIDDEN // heads))

    def forward(self, x):
        q, k, v, g = (
            projection(x).unflatten(-1, (self.heads, -1)) for projection in (
                self.q_proj, self.k_proj, self.v_proj, self.g_proj))
        slopes = 2.0 ** (-8.0 * torch.arange(1, self.heads + 1) / self.heads)
        o, _ = naive_recurrent_simple_gla(
            F.silu(q), F.silu(k), v, -slopes.expand(*q.shape[:3]))
        o = rms_norm_ref(o, self.g_norm_swish_gate.weight, None, eps=EPSILON)
        return self.o_proj((o * F.silu(g)).flatten(-2)),


class SecondOfTwo(torch.nn.Module):
    """HGRN2's second layer with its lower bound as the package's model makes
    it of lower_bounds, a parameter of the model."""

    def __init__(self):
        super().__init__()
        self.attn = hgrn2.HGRN2Attention(
            hidden_size=HIDDEN, expand_ratio=4, layer_idx=1, norm_eps=EPSILON)
        self.lower_bounds = torch.nn.Parameter(torch.zeros(2, HIDDEN))

    def forward(self, x):
        bounds = self.lower_bounds.softmax(0)
        bounds = bounds.cumsum(0) - bounds[0]
        return self.attn(x, lower_bound=bounds[1])


LAYERS = {
    "basic": lambda: linear_attn.LinearAttention(
        hidden_size=HIDDEN, num_heads=2, feature_map="elementwise_product",
        norm_eps=EPSILON),
    "lightning": lambda: Lightning(heads=2),
    "retention": lambda: multiscale_retention.MultiScaleRetention(
        hidden_size=HIDDEN, num_heads=2, expand_v=1.0, norm_eps=EPSILON),
    "based": lambda: based.BasedLinearAttention(
        hidden_size=HIDDEN, feature_dim=4, num_heads=2, num_key_value_heads=2),
    "rebased": lambda: rebased.ReBasedLinearAttention(
        hidden_size=HIDDEN, feature_dim=4, num_heads=2, num_key_value_heads=2),
    "hedgehog": lambda: linear_attn.LinearAttention(
        hidden_size=HIDDEN, num_heads=2, feature_map="hedgehog",
        output_norm="identity", do_feature_map_norm=True),
    "simple_gla": lambda: simple_gla.SimpleGatedLinearAttention(
        hidden_size=HIDDEN, num_heads=2, norm_eps=EPSILON),
    "gla": lambda: gla.GatedLinearAttention(
        hidden_size=HIDDEN, num_heads=2, expand_k=1.0, use_short_conv=True,
        norm_eps=EPSILON),
    "deltanet": lambda: delta_net.DeltaNet(
        hidden_size=HIDDEN, num_heads=2, norm_eps=EPSILON),
    "gated_deltanet": lambda: gated_deltanet.GatedDeltaNet(
        hidden_size=HIDDEN, head_dim=4, num_heads=1, num_v_heads=2, expand_v=1,
        norm_eps=EPSILON),
    "deltanet_signed": lambda: delta_net.DeltaNet(
        hidden_size=HIDDEN, num_heads=2, allow_neg_eigval=True,
        norm_eps=EPSILON),
    "gated_deltanet_signed": lambda: gated_deltanet.GatedDeltaNet(
        hidden_size=HIDDEN, head_dim=4, num_heads=1, num_v_heads=2, expand_v=1,
        allow_neg_eigval=True, norm_eps=EPSILON),
    "kda_signed": lambda: kda.KimiDeltaAttention(
        hidden_size=HIDDEN, head_dim=4, num_heads=2, allow_neg_eigval=True,
        norm_eps=EPSILON),
    "kda": lambda: kda.KimiDeltaAttention(
        hidden_size=HIDDEN, head_dim=4, num_heads=2, norm_eps=EPSILON),
    "hgrn2": lambda: hgrn2.HGRN2Attention(
        hidden_size=HIDDEN, expand_ratio=4, norm_eps=EPSILON),
    "hgrn2_bounded": SecondOfTwo,
    "mamba2": lambda: mamba2.Mamba2(
        hidden_size=HIDDEN, head_dim=4, state_size=6, use_conv_bias=False,
        norm_eps=EPSILON, chunk_size=8),
    "mamba2_groups": lambda: mamba2.Mamba2(
        hidden_size=HIDDEN, head_dim=4, state_size=6, n_groups=2,
        norm_eps=EPSILON, chunk_size=8),
}


def write(name, layer):
    parameters = {name.removeprefix("attn."): x
                  for name, x in layer.named_parameters()}
    with torch.no_grad():
        for parameter, x in parameters.items():
            x.copy_(values(seed_of(parameter), *x.shape))
    x = (2 * values(1, 1, TOKENS, HIDDEN)).requires_grad_()
    y = layer(x)
    y = y[0] if isinstance(y, tuple) else y
    (y * values(2, 1, TOKENS, HIDDEN)).sum().backward()
    tensors = {"y": y, "d_x": x.grad}
    tensors.update((p, value.grad) for p, value in parameters.items())
    path = pathlib.Path(__file__).parent / f"linear_layer_{name}.txt"
    with path.open("w") as file:
        for tensor, numbers in tensors.items():
            flat = numbers.detach().flatten().tolist()
            file.write(f"{tensor} {' '.join(f'{n:.7g}' for n in flat)}\n")


if __name__ == "__main__":
    for name, make in LAYERS.items():
        write(name, make())
