"""Weights in int8, for torch and for ONNX by the same rule; activations in int8, one scale a token.

onnxruntime's own dynamic quantisation takes one scale for a whole activation tensor and for a whole embedding table.
That cost two points of macro-F1 and let the members of a batch change each other's numbers; see
docs/decisions/0005-int8.md for the table.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

SCALE_SUFFIX: Final = ".scale"
"""Added to the name of int8 weights for that of their scales."""
_FUSED: Final = "com.microsoft"
"""The domain of onnxruntime's own operators."""
_MIN_VALUES: Final = 10_000
"""A smaller matrix stays in float: it is not worth a rounding error."""
LARGEST: Final = 127
"""The largest integer of a table, and of activations less their zero point."""
LARGEST_IN_PRODUCT: Final = 64
"""The largest integer of a product's weights: CPUs without VNNI add pairs of products with an activation of up to 255
in 16 bits."""


def quantise_rows(
    weights: npt.NDArray[np.float32], largest: int
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Symmetric int8 with one scale a row.

    Args:
        weights: (rows, columns).
        largest: ``LARGEST`` for a table, ``LARGEST_IN_PRODUCT`` for the weights of a product.

    Returns:
        (rows, columns) integers from ``-largest`` to ``largest`` and (rows, 1) scales; their product is close to the
        weights.
    """
    scale = (np.abs(weights).max(axis=1, keepdims=True) / largest + 1e-12).astype(np.float32)
    return np.clip(np.round(weights / scale), -largest, largest).astype(np.int8), scale


def is_quantised(shape: tuple[int, ...]) -> bool:
    """Whether weights of this shape are stored in int8."""
    return len(shape) == 2 and shape[0] * shape[1] >= _MIN_VALUES


def restore_weights(stored: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[np.float32]]:
    """Float weights from those that ``export.write_quantised`` stored, by name.

    Args:
        stored: Tensors of the file; integers with their scales, (rows, 1) for a table and (1, out) for a product.
    """
    weights = {}
    for name, values in stored.items():
        if name.endswith(SCALE_SUFFIX):
            continue
        scale = stored.get(name + SCALE_SUFFIX)
        floats = np.asarray(values if scale is None else values * scale, dtype=np.float32)
        weights[name] = np.ascontiguousarray(floats.T) if scale is not None and scale.shape[0] == 1 else floats
    return weights


def quantise_graph(model: "ModelProto") -> "ModelProto":
    """Puts the weights of matrix products and embedding tables into int8.

    Each token's activations are scaled by their own largest value, so a token's numbers depend on its sequence alone.
    What onnxruntime computes in one step stands in one node: a product with its scales, and attention with the
    reshaping around it.

    Args:
        model: A float graph over sequences without padding; it is changed.

    Returns:
        The same model.
    """
    from onnx import helper, numpy_helper, shape_inference

    graph = model.graph
    known = shape_inference.infer_shapes(model).graph
    weights = {i.name: numpy_helper.to_array(i) for i in graph.initializer if is_quantised(tuple(i.dims))}
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*known.value_info, *known.input)
    }
    builder = _Builder(shapes)
    inside = _find_attention(graph, shapes)
    for node in graph.node:
        if node.op_type == "Gather" and node.input[0] in weights:
            builder.add_table(node, weights[node.input[0]])
        elif node.op_type in ("MatMul", "Gemm") and node.input[1] in weights:
            transposed = any(a.name == "transB" and a.i for a in node.attribute)
            matrix = weights[node.input[1]]
            builder.add_product(node, matrix if transposed else matrix.T)
        elif node.name in inside:
            builder.nodes.extend(inside[node.name])
        else:
            builder.nodes.append(node)
    nodes = _drop_unread(builder.nodes, {output.name for output in graph.output})
    read = {name for node in nodes for name in node.input}
    kept = [i for i in graph.initializer if i.name in read]
    arrays = {name: array for name, array in builder.arrays.items() if name in read}
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend([*kept, *(numpy_helper.from_array(array, name) for name, array in arrays.items())])
    if _FUSED not in {opset.domain for opset in model.opset_import}:
        model.opset_import.append(helper.make_opsetid(_FUSED, 1))
    return model


def _find_attention(graph: "GraphProto", shapes: Mapping[str, Sequence[int]]) -> dict[str, list["NodeProto"]]:
    """By name of each attention node, and of the nodes that put its result back, what takes their place.

    torch exports heads as an axis: reshape, transpose, attend, transpose, reshape. The operator takes (batch, seq,
    hidden) itself. Its mask is left out, as no sequence has padding.
    """
    from onnx import helper

    made_by = {output: node for node in graph.node for output in node.output}
    readers: dict[str, list[NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    replaced: dict[str, list[NodeProto]] = {}
    for node in graph.node:
        if node.op_type != "Attention":
            continue
        wholes = []
        for name in node.input[:3]:
            transpose = made_by[name]
            reshape = made_by[transpose.input[0]]
            assert (transpose.op_type, reshape.op_type) == ("Transpose", "Reshape"), name
            wholes.append(reshape.input[0])
        (back,) = readers[node.output[0]]
        (last,) = readers[back.output[0]]
        assert (back.op_type, last.op_type) == ("Transpose", "Reshape"), node.name
        heads = shapes[node.input[0]][1]
        kept = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        merged = helper.make_node(
            "Attention",
            wholes,
            [last.output[0]],
            name=node.name,
            **{**kept, "q_num_heads": heads, "kv_num_heads": heads},
        )
        replaced |= {node.name: [merged], back.name: [], last.name: []}
    return replaced


def _drop_unread(nodes: Sequence["NodeProto"], outputs: set[str]) -> list["NodeProto"]:
    """The nodes that the outputs rest on, in their order."""
    needed = set(outputs)
    kept = []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    return kept[::-1]


def point_to_files(model: "ModelProto", paths: Sequence[Path]) -> "ModelProto":
    """Takes the integers out of a graph that safetensors files beside it hold, and points to them instead.

    ONNX finds external data by file, offset and length, and a safetensors file is a header and plain buffers; so the
    graph and torch read the same bytes. An array that no file holds stays in the graph.

    Args:
        model: A graph by ``quantise_graph``; it is changed.
        paths: The files; their names are looked up in the graph's own folder.

    Returns:
        The same model.
    """
    from onnx import TensorProto, numpy_helper

    places: dict[bytes, tuple[str, int, int]] = {}
    for path in paths:
        content = path.read_bytes()
        header_length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + header_length])
        for name, entry in header.items():
            if name != "__metadata__" and entry["dtype"] == "I8":
                start, end = (8 + header_length + offset for offset in entry["data_offsets"])
                places.setdefault(content[start:end], (path.name, start, end - start))
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.INT8:
            continue
        place = places.get(numpy_helper.to_array(tensor).tobytes())
        if place is not None:
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in zip(("location", "offset", "length"), place, strict=True):
                tensor.external_data.add(key=key, value=str(value))
    return model


class _Builder:
    """Collects the nodes and the arrays of a quantised graph."""

    def __init__(self, shapes: Mapping[str, Sequence[int]]) -> None:
        """Takes the shape of each tensor by name, with 0 for a length that is not known."""
        self.nodes: list[NodeProto] = []
        self.arrays: dict[str, npt.NDArray[np.generic]] = {
            "int8.step": np.array(1 / LARGEST, dtype=np.float32),
            "int8.tiny": np.array(1e-9, dtype=np.float32),
            "int8.one": np.array(1, dtype=np.float32),
            "int8.zero": np.array([128], dtype=np.uint8),
            "int8.axis": np.array([-1], dtype=np.int64),
            "int8.column": np.array([-1, 1], dtype=np.int64),
            "int8.start": np.array([0], dtype=np.int64),
        }
        self._shapes = shapes
        self._rows: dict[str, tuple[str, str, str | None]] = {}

    def _add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def _add_rows(self, name: str, columns: int) -> tuple[str, str, str | None]:
        """Activations as (tokens, columns) unsigned bytes around 128; made once for each tensor.

        Returns:
            The bytes, the scale of each token (tokens, 1), and the shape that a product takes on afterwards, as its
            leading lengths and -1; None if the activations have two axes.
        """
        if name in self._rows:
            return self._rows[name]
        flat, shape = name, None
        if len(self._shapes[name]) != 2:
            wide = self._add("Shape", [name], f"{name}.shape")
            lead = self._add("Slice", [wide, "int8.start", "int8.axis"], f"{name}.lead")
            shape = self._add("Concat", [lead, "int8.axis"], f"{name}.back", axis=0)
            self.arrays[f"int8.rows{columns}"] = np.array([-1, columns], dtype=np.int64)
            flat = self._add("Reshape", [name, f"int8.rows{columns}"], f"{name}.flat")
        size = self._add("Abs", [flat], f"{name}.abs")
        size = self._add("ReduceMax", [size, "int8.axis"], f"{name}.max", keepdims=0)
        size = self._add("Max", [size, "int8.tiny"], f"{name}.size")
        scale = self._add("Mul", [size, "int8.step"], f"{name}.scale")
        zeros = self._add("Expand", ["int8.zero", self._add("Shape", [scale], f"{name}.tokens")], f"{name}.zeros")
        quantised = self._add("QuantizeLinear", [flat, scale, zeros], f"{name}.int8", axis=0)
        column = self._add("Reshape", [scale, "int8.column"], f"{name}.column")
        self._rows[name] = quantised, column, shape
        return self._rows[name]

    def add_product(self, node: "NodeProto", matrix: npt.NDArray[np.float32]) -> None:
        """A product with a (out, in) matrix, and the bias of a Gemm."""
        name, output = node.name, node.output[0]
        integers, scale = quantise_rows(matrix, LARGEST_IN_PRODUCT)
        self.arrays[f"{name}.weight"] = np.ascontiguousarray(integers.T)
        self.arrays[f"{name}.scale"] = scale[:, 0]
        rows, row_scale, shape = self._add_rows(node.input[0], matrix.shape[1])
        product = self._add(
            "MatMulIntegerToFloat",
            [rows, f"{name}.weight", "int8.one", f"{name}.scale", "int8.zero"],
            f"{name}.product",
            domain=_FUSED,
        )
        steps: list[tuple[str, str]] = [("Mul", row_scale)]
        if len(node.input) > 2:
            steps.append(("Add", node.input[2]))
        if shape:
            steps.append(("Reshape", shape))
        for kind, other in steps[:-1]:
            product = self._add(kind, [product, other], f"{name}.{kind.lower()}")
        kind, other = steps[-1]
        self._add(kind, [product, other], output)

    def add_table(self, node: "NodeProto", table: npt.NDArray[np.float32]) -> None:
        """A look-up in a (rows, columns) table."""
        from onnx import TensorProto

        name = node.name
        self.arrays[f"{name}.table"], self.arrays[f"{name}.scale"] = quantise_rows(table, LARGEST)
        found = self._add("Gather", [f"{name}.table", node.input[1]], f"{name}.found", axis=0)
        found = self._add("Cast", [found], f"{name}.float", to=TensorProto.FLOAT)
        scale = self._add("Gather", [f"{name}.scale", node.input[1]], f"{name}.found_scale", axis=0)
        self._add("Mul", [found, scale], node.output[0])
