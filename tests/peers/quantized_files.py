"""Folders of quantized matrices, packed here from a model's weights by their formats' descriptions, and what is left of them.

`quantize` gives each matrix's parts by name, and the matrix that whoever reads them must find. Takes numpy and torch.
"""
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]  # Field i of a word is of column AWQ_ORDER[i].


def words(fields):
    """Eight fields of the last axis to a word, the first one lowest."""
    fields = fields.reshape(*fields.shape[:-1], -1, 8).astype(np.uint32)
    return (fields << (4 * np.arange(8, dtype=np.uint32))).sum(-1, dtype=np.uint32).view(np.int32)


def grid(weight, group, symmetric, group_of):
    """(codes [out, in], zero points and scales [out, groups]) of the nearest in four bits."""
    out, columns = weight.shape
    groups = -(-columns // group)
    scales, zeros = np.empty((out, groups), np.float16), np.full((out, groups), 8)
    for g in range(groups):
        values = weight[:, group_of == g]
        low, high = np.minimum(values.min(1), 0), np.maximum(values.max(1), 0)
        if symmetric:
            scales[:, g] = 2 * np.maximum(-low, high) / 15
        else:
            scales[:, g] = (high - low) / 15
            zeros[:, g] = np.clip(np.rint(-low / scales[:, g].astype(np.float32)), 0, 15)
    scale, zero = scales.astype(np.float32)[:, group_of], zeros[:, group_of]
    return np.clip(np.rint(weight / scale) + zero, 0, 15).astype(np.int64), zeros, scales


def four_bits(weight, kind, group, symmetric, scattered, random):
    out, columns = weight.shape
    group = columns if group == -1 else group
    group_of = np.arange(columns) // group
    if scattered:
        random.shuffle(group_of)
    codes, zeros, scales = grid(weight, group, symmetric, group_of)
    left = (codes - zeros[:, group_of]) * scales.astype(np.float32)[:, group_of]
    if kind in ("gptq", "gptq_v2"):
        stored = zeros.T - (1 if kind == "gptq" else 0) & 15
        parts = dict(qweight=words(codes).T, qzeros=words(stored), scales=scales.T, g_idx=group_of.astype(np.int32))
    elif kind == "awq":
        order = lambda x: x.reshape(*x.shape[:-1], -1, 8)[..., AWQ_ORDER].reshape(x.shape)
        parts = dict(qweight=words(order(codes.T)), qzeros=words(order(zeros.T)), scales=scales.T)
    else:
        parts = dict(weight_packed=words(codes), weight_scale=scales, weight_shape=np.array(weight.shape))
        if not symmetric:
            parts["weight_zero_point"] = words(zeros.T).T
        if scattered:
            parts["weight_g_idx"] = group_of.astype(np.int32)
    return {name: torch.from_numpy(np.ascontiguousarray(part)) for name, part in parts.items()}, torch.from_numpy(left)


def eight_bits(weight, kind):
    out, columns = weight.shape
    if kind == "blocks":
        blocks = -(-out // 128), -(-columns // 128)
        scales = torch.stack([torch.stack([b.abs().max() for b in rows.split(128, 1)]) for rows in weight.split(128)]) / 448
        spread = scales.repeat_interleave(128, 0)[:out].repeat_interleave(128, 1)[:, :columns]
        assert scales.shape == blocks
    else:
        scales = weight.abs().amax(1, keepdim=True) / 448 if kind == "rows" else weight.abs().max().view(1) / 448
        spread = scales
    codes = (weight / spread).to(torch.float8_e4m3fn)
    name = "weight_scale_inv" if kind == "blocks" else "weight_scale"
    return {"weight": codes, name: scales}, codes.float() * spread


def config_of(kind, group, symmetric, scattered):
    if kind in ("gptq", "gptq_v2"):
        return dict(quant_method="gptq", bits=4, group_size=group, sym=symmetric, desc_act=scattered, checkpoint_format=kind)
    if kind == "awq":
        return dict(quant_method="awq", bits=4, group_size=group, zero_point=not symmetric, version="gemm")
    if kind == "packed":
        weights = dict(num_bits=4, type="int", strategy="group", group_size=group, symmetric=symmetric)
        return dict(quant_method="compressed-tensors", format="pack-quantized", config_groups=dict(group_0=dict(weights=weights)))
    if kind == "blocks":
        return dict(quant_method="fp8", weight_block_size=[128, 128])
    weights = dict(num_bits=8, type="float", strategy="channel" if kind == "rows" else "tensor")
    return dict(quant_method="compressed-tensors", format="float-quantized", config_groups=dict(group_0=dict(weights=weights)))


def is_quantized(name, values):
    return values.dim() == 2 and name.endswith("proj.weight") or ".experts." in name


def write(folder, config, state, kind, group=128, symmetric=True, scattered=False, seed=1):
    """Writes the folder; gives {name: values} as they are in it."""
    tensors, left = {}, {}

    def quantized(item):
        index, (name, values) = item
        if not is_quantized(name, values):
            return {name: values}, values
        random = np.random.default_rng([seed, index])
        parts, rest = eight_bits(values.float(), kind) if kind in ("blocks", "rows", "tensor") else \
            four_bits(values.float().numpy(), kind, group, symmetric, scattered, random)
        return {f"{name.removesuffix('.weight')}.{part}": value for part, value in parts.items()}, rest

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for name, (parts, rest) in zip(state, threads.map(quantized, enumerate(state.items()))):
            tensors |= parts
            left[name] = rest
    said = config.to_dict() | dict(quantization_config=config_of(kind, group, symmetric, scattered))
    Path(folder, "config.json").write_text(json.dumps(said))
    save_file({name: value.contiguous().clone() for name, value in tensors.items()}, str(Path(folder, "model.safetensors")))
    return left
