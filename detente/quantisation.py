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
    from onnx import ModelProto, NodeProto

SCALE_SUFFIX: Final = ".scale"
"""Added to the name of int8 weights for that of their scales."""
_MIN_VALUES: Final = 10_000
"""A smaller matrix stays in float: it is not worth a rounding error."""


def quantise_rows(weights: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Symmetric int8 with one scale a row.

    Args:
        weights: (rows, columns).

    Returns:
        (rows, columns) integers from -127 to 127 and (rows, 1) scales; their product is close to the weights.
    """
    scale = (np.abs(weights).max(axis=1, keepdims=True) / 127 + 1e-12).astype(np.float32)
    return np.clip(np.round(weights / scale), -127, 127).astype(np.int8), scale


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

    Args:
        model: A float graph; it is changed.

    Returns:
        The same model.
    """
    from onnx import numpy_helper

    graph = model.graph
    weights = {i.name: numpy_helper.to_array(i) for i in graph.initializer if is_quantised(tuple(i.dims))}
    builder = _Builder()
    for node in graph.node:
        if node.op_type == "Gather" and node.input[0] in weights:
            builder.add_table(node, weights[node.input[0]])
        elif node.op_type in ("MatMul", "Gemm") and node.input[1] in weights:
            transposed = any(a.name == "transB" and a.i for a in node.attribute)
            matrix = weights[node.input[1]]
            builder.add_product(node, matrix if transposed else matrix.T)
        else:
            builder.nodes.append(node)
    read = {name for node in builder.nodes for name in node.input}
    kept = [i for i in graph.initializer if i.name in read]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(builder.nodes)
    graph.initializer.extend([*kept, *(numpy_helper.from_array(array, name) for name, array in builder.arrays.items())])
    return model


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

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.arrays: dict[str, npt.NDArray[np.generic]] = {
            "int8.top": np.array(127, dtype=np.float32),
            "int8.tiny": np.array(1e-9, dtype=np.float32),
            "int8.shift": np.array(128, dtype=np.float32),
            "int8.zero": np.array(128, dtype=np.uint8),
            "int8.axis": np.array([-1], dtype=np.int64),
        }
        self._rows: set[str] = set()

    def _add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def _add_rows(self, name: str) -> tuple[str, str]:
        """Activations as unsigned bytes around 128, and the scale of each token; made once for each tensor."""
        from onnx import TensorProto

        scale, quantised = f"{name}.scale", f"{name}.int8"
        if name not in self._rows:
            self._rows.add(name)
            size = self._add("Abs", [name], f"{name}.abs")
            size = self._add("ReduceMax", [size, "int8.axis"], f"{name}.max", keepdims=1)
            size = self._add("Max", [size, "int8.tiny"], f"{name}.size")
            self._add("Div", [size, "int8.top"], scale)
            level = self._add("Div", [name, scale], f"{name}.level")
            level = self._add("Round", [level], f"{name}.round")
            level = self._add("Add", [level, "int8.shift"], f"{name}.shifted")
            self._add("Cast", [level], quantised, to=TensorProto.UINT8)
        return quantised, scale

    def add_product(self, node: "NodeProto", matrix: npt.NDArray[np.float32]) -> None:
        """A product with a (out, in) matrix, and the bias of a Gemm."""
        from onnx import TensorProto

        name, output = node.name, node.output[0]
        integers, scale = quantise_rows(matrix)
        self.arrays[f"{name}.weight"] = np.ascontiguousarray(integers.T)
        self.arrays[f"{name}.scale"] = scale[:, 0]
        rows, row_scale = self._add_rows(node.input[0])
        product = self._add("MatMulInteger", [rows, f"{name}.weight", "int8.zero"], f"{name}.product")
        product = self._add("Cast", [product], f"{name}.float", to=TensorProto.FLOAT)
        product = self._add("Mul", [product, row_scale], f"{name}.rows")
        bias = node.input[2] if len(node.input) > 2 else None
        product = self._add("Mul", [product, f"{name}.scale"], f"{name}.scaled" if bias else output)
        if bias:
            self._add("Add", [product, bias], output)

    def add_table(self, node: "NodeProto", table: npt.NDArray[np.float32]) -> None:
        """A look-up in a (rows, columns) table."""
        from onnx import TensorProto

        name = node.name
        self.arrays[f"{name}.table"], self.arrays[f"{name}.scale"] = quantise_rows(table)
        found = self._add("Gather", [f"{name}.table", node.input[1]], f"{name}.found", axis=0)
        found = self._add("Cast", [found], f"{name}.float", to=TensorProto.FLOAT)
        scale = self._add("Gather", [f"{name}.scale", node.input[1]], f"{name}.found_scale", axis=0)
        self._add("Mul", [found, scale], node.output[0])
