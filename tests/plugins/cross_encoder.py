"""A cross-encoder small enough to be made in a test: it counts which tokens of the question stand in the text."""

from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as ops
from tokenizers import Tokenizer

from groundwork.embedders.packaged import tokenizer_file

_EVERY_TOKEN = 6.0
"""The logit when the text has every token of the question; when it has none, the same below zero."""


def make_cross_encoder(folder: Path, outputs: int = 1, kind: type = np.int64, name: str = "openvino_model") -> Path:
    """The folder, with a model of one or two logits and the packaged vocabulary, padding and truncating as files do.

    Of two logits the first is always zero, so that both kinds mean the same. `kind` is the type of the inputs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ids, mask, types = (ops.parameter([-1, -1], kind, name=each) for each in _INPUTS)
    logit = ops.subtract(ops.multiply(_share(ids, mask, types), _number(2 * _EVERY_TOKEN)), _number(_EVERY_TOKEN))
    result = logit if outputs == 1 else ops.concat([ops.multiply(logit, _number(0)), logit], 1)
    graph = ov.Model([result], [ids, mask, types], "overlap")
    for port, each in zip(graph.inputs, _INPUTS, strict=True):
        port.set_names({each})
    ov.save_model(graph, folder / f"{name}.xml", compress_to_fp16=False)
    tokenizer = Tokenizer.from_file(str(tokenizer_file()))
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=8)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def _share(ids: ov.Node, mask: ov.Node, types: ov.Node) -> ov.Node:
    """The share of the first part's tokens that stand in the second, of shape (rows, 1)."""
    seen, second = ops.convert(mask, "f32"), ops.convert(types, "f32")
    in_text = ops.multiply(seen, second)
    asked = ops.multiply(seen, ops.subtract(_number(1), second))
    same = ops.convert(ops.equal(ops.unsqueeze(ids, 2), ops.unsqueeze(ids, 1)), "f32")
    has = ops.reduce_max(ops.multiply(same, ops.unsqueeze(in_text, 1)), 2)
    found = ops.reduce_sum(ops.multiply(has, asked), 1, keep_dims=True)
    return ops.divide(found, ops.reduce_sum(asked, 1, keep_dims=True))


def _number(value: float) -> ov.Node:
    return ops.constant(np.float32(value))
