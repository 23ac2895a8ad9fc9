"""Linear attention in PyTorch, the two ways that people write it in chunks.

chunk_loop walks the chunks and carries the state; all_chunks does what it can
for all chunks at once and walks states alone. Both take the operands of
kernels/api/linear_attention.h as q, k, v [H, T, D], log_gate None, [H, 1, 1]
(constant), [H, T, 1] or [H, T, D], and for the delta rule beta [H, T, 1]; the
scale of q is the caller's. T is a multiple of 64. `recurrence` is what they
must equal.

Gates of a channel are anchored in the middle of a chunk, the fastest form and
good for mild gates; strong ones overflow, which ours do not.
"""

import math

import torch

CHUNK = 64
FUTURE = torch.ones(CHUNK, CHUNK, dtype=torch.bool).triu(1)


class NoDecay:
    """Of chunks [..., 64, D]."""

    def scores(self, a, b):
        return (a @ b.mT).tril()

    def from_start(self, x):
        return x

    def to_end(self, x):
        return x

    def of_state(self, state):
        return state


class Decay:
    """From the log gates of chunks, [..., 64, 1]."""

    def __init__(self, log_gate):
        inside = log_gate.cumsum(-2)
        self.total = inside[..., -1:, :]
        self.start = inside.exp()
        self.end = (self.total - inside).exp()
        self.state = self.total.exp().mT
        self.prepare_scores(inside)

    def prepare_scores(self, inside):
        self.matrix = (inside - inside.mT).masked_fill(
            FUTURE, -math.inf).exp()

    def scores(self, a, b):
        return (a @ b.mT) * self.matrix

    def from_start(self, x):
        return x * self.start

    def to_end(self, x):
        return x * self.end

    def of_state(self, state):
        return state * self.state


class ChannelDecay(Decay):
    """From log gates [..., 64, D]."""

    def prepare_scores(self, inside):
        middle = inside[..., CHUNK // 2:CHUNK // 2 + 1, :].detach()
        self.up = (inside - middle).exp()
        self.down = (middle - inside).exp()

    def scores(self, a, b):
        return ((a * self.up) @ (b * self.down).mT).tril()


def decay_of(log_gate):
    return (Decay if log_gate.shape[-1] == 1 else ChannelDecay)(log_gate)


def in_chunks(x):
    return x.unflatten(1, (-1, CHUNK))


def decays(log_gate, chunks):
    """One object per chunk."""
    if log_gate is None:
        return [NoDecay()] * chunks
    if log_gate.shape[1] == 1:
        return [decay_of(log_gate.expand(-1, CHUNK, -1))] * chunks
    return map(decay_of, in_chunks(log_gate).unbind(1))


def solve(lower, right):
    """(1 + lower)^-1 right, of a strictly lower triangle."""
    return torch.linalg.solve_triangular(lower, right, upper=False,
                                         unitriangular=True)


def written(decay, k, v, beta, state):
    """What the tokens of a chunk write: the delta rule's U."""
    if state is not None:
        v = v - decay.from_start(k) @ state
    return solve(beta * decay.scores(k, k), beta * v)


def chunk_loop(q, k, v, log_gate=None, beta=None):
    q, k, v = (in_chunks(x).unbind(1) for x in (q, k, v))
    beta = [None] * len(q) if beta is None else in_chunks(beta).unbind(1)
    state, outputs = None, []
    for q_i, k_i, v_i, beta_i, decay in zip(q, k, v, beta,
                                            decays(log_gate, len(q))):
        if beta_i is not None:
            v_i = written(decay, k_i, v_i, beta_i, state)
        out = decay.scores(q_i, k_i) @ v_i
        added = decay.to_end(k_i).mT @ v_i
        if state is not None:
            out = out + decay.from_start(q_i) @ state
            added = decay.of_state(state) + added
        outputs.append(out)
        state = added
    return torch.cat(outputs, 1)


def decay_of_all(log_gate):
    if log_gate is None:
        return NoDecay()
    if log_gate.shape[1] == 1:
        return decay_of(log_gate[:, None].expand(-1, -1, CHUNK, -1))
    return decay_of(in_chunks(log_gate))


def entering_states(decay, added):
    """The state before each chunk, from what each adds: [H, N, D, Dv]."""
    if isinstance(decay, NoDecay):
        return added.cumsum(1) - added
    scales = decay.state.expand(-1, added.shape[1], -1, -1).unbind(1)
    state = torch.zeros_like(added[:, 0])
    states = []
    for scale, one in zip(scales, added.unbind(1)):
        states.append(state)
        state = state * scale + one
    return torch.stack(states, 1)


def all_chunks(q, k, v, log_gate=None, beta=None):
    q, k, v = in_chunks(q), in_chunks(k), in_chunks(v)
    decay = decay_of_all(log_gate)
    if beta is not None:
        return all_dense_chunks(q, k, v, in_chunks(beta), decay)
    out = decay.scores(q, k) @ v
    entering = entering_states(decay, decay.to_end(k).mT @ v)
    return (out + decay.from_start(q) @ entering).flatten(1, 2)


def all_dense_chunks(q, k, v, beta, decay):
    """The WY form: U = U_0 - W S, only S chunk by chunk."""
    lower = beta * decay.scores(k, k)
    dim = v.shape[-1]
    both = solve(lower, beta * torch.cat((v, decay.from_start(k)), -1))
    alone, weights = both[..., :dim].unbind(1), both[..., dim:].unbind(1)
    keys = decay.to_end(k).mT.unbind(1)
    scale = ([None] * len(keys) if isinstance(decay, NoDecay) else
             decay.state.expand(-1, len(keys), -1, -1).unbind(1))
    state = torch.zeros_like(keys[0] @ alone[0])
    entering, u = [], []
    for i, key in enumerate(keys):
        entering.append(state)
        u.append(alone[i] - weights[i] @ state)
        kept = state if scale[i] is None else state * scale[i]
        state = kept + key @ u[-1]
    out = decay.scores(q, k) @ torch.stack(u, 1)
    out = out + decay.from_start(q) @ torch.stack(entering, 1)
    return out.flatten(1, 2)


def recurrence(q, k, v, log_gate=None, beta=None):
    """Token by token, as linear_attention.h defines it."""
    state = q.new_zeros(q.shape[0], q.shape[2], v.shape[2])
    outputs = []
    for t in range(q.shape[1]):
        if log_gate is not None:
            gate = log_gate[:, t if log_gate.shape[1] > 1 else 0]
            state = state * gate.exp()[..., None]
        value = v[:, t, None]
        if beta is not None:
            value = (value - k[:, t, None] @ state) * beta[:, t, None]
        state = state + k[:, t, :, None] @ value
        outputs.append(q[:, t, None] @ state)
    return torch.cat(outputs, 1)


FORMS = {"loop": chunk_loop, "chunks": all_chunks}
