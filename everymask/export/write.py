"""A model as a folder of ONNX files, and the note that says what they are of."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from everymask.errors import OptionError, require
from everymask.export.graphs import DecoderGraph, EncoderGraph, Graph, Masks, WholeGraph, traced
from everymask.models.base import PromptableModel
from everymask.models.kept_files import write_whole
from everymask.models.onnx_model import DECODER, ENCODER, OnnxModel, note_of
from everymask.models.places import EXPORT_NOTE

WHOLE = "whole.onnx"
PRECISIONS = ("float32", "float16", "int8")
SMALLEST_QUANTISED = 1024  # numbers of a convolution's weights
LARGEST = 1_900_000_000
"""Bytes of weights that fit one file: protobuf ends at 2 GiB."""


def export_onnx(
    model: PromptableModel,
    output: str | os.PathLike[str],
    *,
    masks: Masks = "all",
    precision: str = "float32",
    one_graph: bool = False,
    opset: int = 17,
) -> list[Path]:
    """Write ``encoder.onnx`` and ``decoder.onnx`` of a model (float32, on the CPU) into a folder.

    SAM's decoder has the official signature (image_embeddings, point_coords, point_labels, mask_input,
    has_mask_input, orig_im_size -> masks, iou_predictions, low_res_masks), that of SAM 2, EdgeTAM and nano
    the one of ONNX Runtime's SAM 2 tools. Any number of prompts of any number of points goes into it at once;
    SAM wants its padding point among them, SAM 2's is added by the graph. ``masks``: "all" four of a prompt,
    "multi", the three for an ambiguous one, or "single", the one for a clear one, by the model's rule.
    ``precision`` is that of the encoder: "float16", or "int8" for its weights (and its products of matrices).
    ``one_graph`` adds ``whole.onnx``, encoder and decoder as one. ``everymask.load(output)`` runs the folder
    through ONNX Runtime, if it has all masks.

    Returns the paths written. Raises OptionError, MissingExtraError (pip install 'everymask[export]').
    """
    for module in ("onnx", "onnxruntime"):
        require(module, "export", "writing ONNX files")
    _check(model, masks, precision, opset)
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    decoder = DecoderGraph(model, masks)
    written = [
        _write_encoder(model, folder / ENCODER, precision, opset),
        _write_with_masks(model, decoder, folder / DECODER, decoder.names["size"], opset),
    ]
    if one_graph:
        whole = WholeGraph(model, masks)
        written.append(_write_with_masks(model, whole, folder / WHOLE, whole.names["size"], opset))
    note = json.dumps(note_of(model, masks, precision), indent=2)
    write_whole(folder / EXPORT_NOTE, note.encode())
    return [*written, folder / EXPORT_NOTE]


def _check(model: PromptableModel, masks: str, precision: str, opset: int) -> None:
    for name, value, known in (
        ("masks", masks, ("all", "multi", "single")),
        ("precision", precision, PRECISIONS),
    ):
        if value not in known:
            raise OptionError(f"{name} must be one of {', '.join(known)}, got {value!r}")
    if not 13 <= opset <= 20:
        raise OptionError(f"opset must be from 13 to 20, got {opset}")
    decoder = model.spec.decoder
    if masks == "all" and decoder.hq_token:
        raise OptionError(
            f"{model.spec.name} adds its finer mask to the one that was chosen without it, so all masks of a "
            "prompt at once say too little; export with masks='multi' or 'single'"
        )
    if isinstance(model, OnnxModel):
        raise OptionError(f"{model.folder} is an export already")
    if model.device.type != "cpu" or str(model.dtype) != "torch.float32":
        raise OptionError(
            f"export takes a model in float32 on the CPU, got {model.dtype} on {model.device}; "
            "load it with device='cpu' and give the encoder's precision to the export"
        )


def _write_encoder(model: PromptableModel, path: Path, precision: str, opset: int) -> Path:
    graph = EncoderGraph(model)
    weights = sum(x.numel() * x.element_size() for x in _tensors(model))
    if weights > LARGEST:  # torch puts weights into files beside it
        if precision != "float32":
            raise OptionError(f"an encoder of {weights / 1e9:.1f} GB goes out in float32 alone")
        traced(graph, str(path), opset)
        return path
    stream = io.BytesIO()
    traced(graph, stream, opset)
    if precision == "float32":
        write_whole(path, stream.getvalue())
        return path
    onnx = require("onnx", "export", "writing ONNX files")
    loaded = onnx.load_model_from_string(stream.getvalue())
    write_whole(path, (_halved if precision == "float16" else _quantised)(loaded).SerializeToString())
    return path


def _tensors(model: PromptableModel) -> Sequence[Tensor]:
    return [*model.parameters(), *model.buffers()]


def _write_with_masks(model: PromptableModel, graph: Graph, path: Path, size_input: str, opset: int) -> Path:
    from everymask.export.tail import with_photo_masks

    onnx = require("onnx", "export", "writing ONNX files")
    stream = io.BytesIO()
    traced(graph, stream, opset)
    loaded = onnx.load_model_from_string(stream.getvalue())
    whole = with_photo_masks(loaded, model.spec.family, model.spec.image_size, size_input)
    write_whole(path, whole.SerializeToString())
    return path


def _halved(graph: Any) -> Any:
    """The graph with weights and arithmetic in float16; inputs and outputs stay float32."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    return convert_float_to_float16(graph, keep_io_types=True)


def _quantised(graph: Any) -> Any:
    """The graph with its weights in int8, a scale for each output channel.

    Products of matrices are done in int8 as well, convolutions on weights that are made floats again.
    """
    import tempfile

    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "quantised.onnx"
        quantize_dynamic(
            graph,
            path,
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            weight_type=QuantType.QInt8,
        )
        quantised = onnx.load(path)
    return _with_small_convolutions(quantised)


def _with_small_convolutions(graph: Any) -> Any:
    """The same with the weights of convolutions in int8, each followed by what makes floats of them."""
    from onnx import helper, numpy_helper

    wanted = {node.input[1] for node in graph.graph.node if node.op_type == "Conv"}
    nodes, kept = [], []
    for weight in graph.graph.initializer:
        values = numpy_helper.to_array(weight) if weight.name in wanted else np.zeros(0)
        if values.dtype != np.float32 or values.size < SMALLEST_QUANTISED:
            kept.append(weight)
            continue
        largest = np.abs(values).reshape(len(values), -1).max(axis=1)
        scale = np.maximum(largest / 127, np.finfo(np.float32).tiny).astype(np.float32)
        whole = np.rint(values / scale.reshape(-1, *[1] * (values.ndim - 1))).astype(np.int8)
        names = [f"{weight.name}_int8", f"{weight.name}_scale"]
        kept += [
            numpy_helper.from_array(each, name) for each, name in zip((whole, scale), names, strict=True)
        ]
        nodes.append(helper.make_node("DequantizeLinear", names, [weight.name], axis=0))
    del graph.graph.initializer[:]
    graph.graph.initializer.extend(kept)
    nodes += graph.graph.node
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
    return graph
