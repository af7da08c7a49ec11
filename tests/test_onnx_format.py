"""ONNX files: what is written opens elsewhere, and what is read is what was written."""

from __future__ import annotations

import contextlib

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from facecli.errors import ModelError
from facecli.models.onnx_format import Graph, Node, read_weights, write
from facecli.models.runtime import Session


def graph() -> Graph:
    weights = {
        "w": np.arange(18, dtype=np.float32).reshape(2, 1, 3, 3),
        "b": np.array([0.5, -0.5], np.float32),
    }
    convolution = Node(
        "Conv", ("x", "w", "b"), ("y",), {"kernel_shape": (3, 3), "pads": (1,) * 4, "group": 2}
    )
    leak = Node("LeakyRelu", ("y",), ("z",), {"alpha": 0.25})
    return Graph(
        (convolution, leak), weights, {"x": ("n", 2, "height", 4)}, {"z": ("n", 2, "height", 4)}
    )


def test_another_reader_finds_what_was_written() -> None:
    model = onnx.load_from_string(write(graph(), {"card": "Zoë"}))
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == ["Conv", "LeakyRelu"]
    assert {one.name: numpy_helper.to_array(one).tolist() for one in model.graph.initializer} == {
        name: value.tolist() for name, value in graph().weights.items()
    }
    assert helper.get_attribute_value(model.graph.node[1].attribute[0]) == 0.25
    assert {one.key: one.value for one in model.metadata_props} == {"card": "Zoë"}
    sides = model.graph.input[0].type.tensor_type.shape.dim
    assert [side.dim_param or side.dim_value for side in sides] == ["n", 2, "height", 4]


def test_the_runtime_computes_what_the_graph_says() -> None:
    x = np.random.default_rng(0).normal(size=(3, 2, 5, 4)).astype(np.float32)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    weights = graph().weights
    expected = np.zeros_like(x)
    for channel in range(2):
        for row in range(5):
            for column in range(4):
                window = padded[:, channel, row : row + 3, column : column + 3]
                total = (window * weights["w"][channel, 0]).sum(axis=(1, 2)) + weights["b"][channel]
                expected[:, channel, row, column] = np.where(total < 0, 0.25 * total, total)
    np.testing.assert_allclose(Session(graph()).run({"x": x})["z"], expected, rtol=1e-5)


def test_what_is_read_is_what_was_written() -> None:
    weights, nodes = read_weights(write(graph()))
    assert nodes == list(graph().nodes)
    assert weights.keys() == graph().weights.keys()
    for name, value in graph().weights.items():
        np.testing.assert_array_equal(weights[name], value)


@pytest.mark.parametrize("kind", [np.float32, np.float16, np.int64, np.int32, np.int8, np.uint8])
def test_numbers_in_typed_fields_are_read_too(kind: type) -> None:
    values: np.ndarray = np.array([[1, 2, 3], [0, 5, 100]], kind)
    tensor = numpy_helper.from_array(values, "raw")
    typed = helper.make_tensor("typed", tensor.data_type, values.shape, values.ravel())
    assert not typed.HasField("raw_data")
    initializers = [tensor, typed] if kind is not np.float16 else [tensor]
    model = helper.make_model(helper.make_graph([], "g", [], [], initializers))
    weights, _ = read_weights(model.SerializeToString())
    for value in weights.values():
        np.testing.assert_array_equal(value, values)
        assert value.dtype == kind


def test_a_negative_attribute_keeps_its_sign() -> None:
    node = helper.make_node("Concat", ["a", "b"], ["c"], axis=-2)
    model = helper.make_model(helper.make_graph([node], "g", [], []))
    _, (read,) = read_weights(model.SerializeToString())
    assert read.number("axis", 0) == -2
    assert read.number("block", 7) == 7


def test_an_attribute_of_another_type_is_no_number() -> None:
    with pytest.raises(TypeError, match="mode of Resize is no number"):
        Node("Resize", ("x",), ("y",), {"mode": "nearest"}).number("mode", 0)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no model at all",
        write(graph())[:200],
        helper.make_model(
            helper.make_graph(
                [], "g", [], [], [TensorProto(name="w", data_type=TensorProto.STRING, dims=[1])]
            )
        ).SerializeToString(),
    ],
    ids=["empty", "text", "cut", "text as weights"],
)
def test_other_bytes_are_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(ModelError, match="not a readable ONNX file") as caught:
        read_weights(data)
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=200), st.integers(0, 400))
def test_damaged_files_are_read_or_refused(noise: bytes, place: int) -> None:
    data = write(graph())
    damaged = data[:place] + noise + data[place + len(noise) :]
    with contextlib.suppress(ModelError):
        read_weights(damaged)
