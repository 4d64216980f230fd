"""The last steps of a decoder as ONNX nodes: from low-resolution logits to masks of the photo's size.

Written node by node, not traced: the photo's size is an input, and tracing would make a constant of it.
"""

from __future__ import annotations

from typing import Any

from everymask.errors import require


def with_photo_masks(graph: Any, family: str, side: int, size_input: str) -> Any:
    """The ``onnx.ModelProto`` with the photo's (height, width) as its last input and ``masks`` put first.

    SAM's masks are logits, stretched to the square of ``side`` pixels, cut to the photo's part of it and
    stretched again; SAM 2's are booleans, stretched once. So do the official code and ONNX Runtime's.
    """
    onnx = require("onnx", "export", "writing ONNX files")
    helper, kinds = onnx.helper, onnx.TensorProto
    sam2 = family == "sam2"
    size_type = kinds.INT32 if sam2 else kinds.FLOAT
    constants: list[Any] = [
        helper.make_tensor("tail_zero", kinds.INT64, [1], [0]),
        helper.make_tensor("tail_two", kinds.INT64, [1], [2]),
        helper.make_tensor("tail_nothing", kinds.FLOAT, [0], []),
    ]
    nodes = [
        helper.make_node("Cast", [size_input], ["tail_size"], to=kinds.INT64),
        helper.make_node("Shape", ["low_res_masks"], ["tail_shape"]),
        helper.make_node("Slice", ["tail_shape", "tail_zero", "tail_two"], ["tail_batch"]),
        helper.make_node("Concat", ["tail_batch", "tail_size"], ["tail_full"], axis=0),
    ]
    source = "low_res_masks"
    if not sam2:
        constants += [
            helper.make_tensor("tail_square_size", kinds.INT64, [2], [side, side]),
            helper.make_tensor("tail_side", kinds.FLOAT, [], [float(side)]),
            helper.make_tensor("tail_half", kinds.FLOAT, [], [0.5]),
            helper.make_tensor("tail_axes", kinds.INT64, [2], [2, 3]),
            helper.make_tensor("tail_origin", kinds.INT64, [2], [0, 0]),
        ]
        nodes += [
            helper.make_node("Concat", ["tail_batch", "tail_square_size"], ["tail_square_full"], axis=0),
            _stretch(helper, source, "tail_square_full", "tail_square"),
            helper.make_node("ReduceMax", [size_input], ["tail_longest"], keepdims=0),
            helper.make_node("Div", ["tail_side", "tail_longest"], ["tail_scale"]),
            helper.make_node("Mul", [size_input, "tail_scale"], ["tail_scaled"]),
            helper.make_node("Add", ["tail_scaled", "tail_half"], ["tail_shifted"]),
            helper.make_node("Floor", ["tail_shifted"], ["tail_floored"]),
            helper.make_node("Cast", ["tail_floored"], ["tail_kept"], to=kinds.INT64),
            helper.make_node("Slice", ["tail_square", "tail_origin", "tail_kept", "tail_axes"], ["tail_cut"]),
        ]
        source = "tail_cut"
    nodes.append(_stretch(helper, source, "tail_full", "tail_masks" if sam2 else "masks"))
    if sam2:
        constants.append(helper.make_tensor("tail_threshold", kinds.FLOAT, [], [0.0]))
        nodes.append(helper.make_node("Greater", ["tail_masks", "tail_threshold"], ["masks"]))
    graph.graph.initializer.extend(constants)
    graph.graph.node.extend(nodes)
    graph.graph.input.append(helper.make_tensor_value_info(size_input, size_type, [2]))
    given = {output.name: output for output in graph.graph.output}
    shape = ["num_labels", given["low_res_masks"].type.tensor_type.shape.dim[1].dim_value, "height", "width"]
    masks = helper.make_tensor_value_info("masks", kinds.BOOL if sam2 else kinds.FLOAT, shape)
    del graph.graph.output[:]
    graph.graph.output.extend([masks, given["iou_predictions"], given["low_res_masks"]])
    onnx.checker.check_model(graph)
    return graph


def _stretch(helper: Any, source: str, size: str, target: str) -> Any:
    """Bilinear, corners not aligned, as torch does it."""
    inputs = [source, "tail_nothing", "tail_nothing", size]
    return helper.make_node(
        "Resize", inputs, [target], mode="linear", coordinate_transformation_mode="half_pixel"
    )
