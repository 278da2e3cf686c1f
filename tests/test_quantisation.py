"""Int8 by our own rule: small rounding errors, one scale a token, the same numbers in any company."""

import numpy as np
import pytest

from detente.quantisation import LARGEST, LARGEST_IN_PRODUCT, is_quantised, quantise_graph, quantise_rows


@pytest.mark.parametrize("largest", [LARGEST, LARGEST_IN_PRODUCT])
def test_rows_round_to_half_a_step(largest: int) -> None:
    weights = np.random.default_rng(1).normal(size=(40, 60)).astype(np.float32) * np.logspace(-3, 2, 40)[:, None]
    integers, scale = quantise_rows(weights.astype(np.float32), largest)
    assert integers.dtype == np.int8 and scale.shape == (40, 1)
    assert (np.abs(integers * scale - weights) <= 0.5001 * scale).all()
    assert (np.abs(integers).max(axis=1) == largest).all()


def test_row_of_zeros_stays_zero() -> None:
    integers, scale = quantise_rows(np.zeros((2, 3), dtype=np.float32), LARGEST)
    assert not integers.any() and np.isfinite(scale).all()


@pytest.mark.parametrize(("shape", "expected"), [((384, 384), True), ((3, 384), False), ((384,), False)])
def test_only_large_matrices(shape: tuple[int, ...], expected: bool) -> None:
    assert is_quantised(shape) is expected


def test_sums_of_two_products_fit_into_16_bits() -> None:
    """CPUs without VNNI instructions add two products of an unsigned and a signed byte in 16 bits."""
    assert 2 * 255 * LARGEST_IN_PRODUCT < 2**15


def test_graph_computes_nearly_the_same_and_alike_in_any_batch() -> None:
    onnx = pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    generator = np.random.default_rng(2)
    table, first, second = (generator.normal(size=s).astype(np.float32) for s in ((120, 100), (100, 110), (105, 110)))
    bias = generator.normal(size=105).astype(np.float32)
    helper, kinds = onnx.helper, onnx.TensorProto
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "ids"], ["words"], name="look"),
            helper.make_node("MatMul", ["words", "first"], ["middle"], name="multiply"),
            helper.make_node("Gemm", ["middle", "second", "bias"], ["out"], name="layer", transB=1),
        ],
        "g",
        [helper.make_tensor_value_info("ids", kinds.INT64, ["n"])],
        [helper.make_tensor_value_info("out", kinds.FLOAT, ["n", 105])],
        [
            onnx.numpy_helper.from_array(a, n)
            for n, a in {"table": table, "first": first, "second": second, "bias": bias}.items()
        ],
    )
    plain = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    small = quantise_graph(onnx.load_model_from_string(plain.SerializeToString()))
    onnx.checker.check_model(small)
    kept = {i.name: i.data_type for i in small.graph.initializer}
    assert kept["look.table"] == kept["multiply.weight"] == kept["layer.weight"] == kinds.INT8
    assert not {"table", "first", "second"} & set(kept)

    def run(model: object, ids: list[int]) -> np.ndarray:
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])  # type: ignore[attr-defined]
        return np.asarray(session.run(None, {"ids": np.array(ids)})[0])

    ids = [3, 50, 119, 7, 7]
    expected, found = run(plain, ids), run(small, ids)
    assert np.abs(found - expected).max() < 0.02 * np.abs(expected).max()
    for i, token in enumerate(ids):
        np.testing.assert_array_equal(run(small, [token])[0], found[i])
