#!/usr/bin/env python3
"""Turns the TensorFlow.js graph of MobileNetV3-CenterNet into ONNX.

    convert_centernet.py centernet.json centernet.onnx

The weights are read from the .bin file that the .json file names, beside it.

Input   images      f32 [N, 512, 512, 3]  RGB, 0 to 255, the picture resized without padding
Output  detections  f32 [N, 100, 6]       x1, y1, x2, y2 in pixels of the 512 x 512 input, score 0 to 1,
                                          COCO class from 0 (0 = person), best score first, no NMS done

The network is converted operator by operator. The decoding of the two maps it ends in is written anew: the
original one holds for a batch of one only, and does more work than it needs.
Method: "Objects as Points" (Zhou et al., 2019), with the distances to the four sides of the box.
"""

import base64
import json
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE, STRIDE, CLASSES, KEPT = 512, 4, 80, 100
CELLS = SIDE // STRIDE  # a side of the maps
HEATMAP = "tower_0/CenternetHead/centernet_cls_output/BiasAdd"  # [N,80,128,128] logit: a box is centred here
DISTANCES = "tower_0/wh"  # [N,4,128,128] pixels from the centre to the left, top, right, bottom side


def load(path):
    """The graph's operations by name, and its constants as arrays by name."""
    model = json.loads(path.read_text())
    constants = {}
    for group in model["weightsManifest"]:
        data = b"".join((path.parent / part).read_bytes() for part in group["paths"])
        offset = 0
        for weight in group["weights"]:
            stored = np.dtype(weight.get("quantization", weight)["dtype"])
            count = int(np.prod(weight["shape"], dtype=int))
            values = np.frombuffer(data, stored, count, offset).reshape(weight["shape"])
            constants[weight["name"]] = values.astype(weight["dtype"])
            offset += count * stored.itemsize
    return {node["name"]: node for node in model["modelTopology"]["node"]}, constants


class Graph:
    """The ONNX graph under construction beside the TensorFlow graph it is made from.

    A value keeps its TensorFlow name. Pictures are NHWC there and NCHW here.
    """

    def __init__(self, operations, constants):
        self.operations, self.constants = operations, constants
        self.nodes, self.initializers, self.done = [], {}, set()

    def constant(self, name, values):
        self.initializers[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def add(self, kind, inputs, output, **attributes):
        """Appends a node whose inputs are there already; returns its (first) output."""
        outputs = [output] if isinstance(output, str) else output
        self.nodes.append(helper.make_node(kind, inputs, outputs, outputs[0], **attributes))
        self.done.update(outputs)
        return outputs[0]

    def need(self, name):
        """Converts what the TensorFlow value `name` is computed from, and it; returns its name here."""
        if name in self.constants:
            return self.constant(name, self.constants[name])
        if name not in self.done:
            node = self.operations[name]
            CONVERTERS[node["op"]](self, node)
        return name

    def scalar(self, name):
        """The value of a constant scalar, None for anything else."""
        values = self.constants.get(name)
        return float(values) if values is not None and values.ndim == 0 else None


def text(attribute):
    """A string attribute, or a list of them; TensorFlow.js stores them as base64."""
    if "list" in attribute:
        return [base64.b64decode(item).decode() for item in attribute["list"].get("s", [])]
    return base64.b64decode(attribute["s"]).decode()


def convolution(graph, node):
    """Conv2D and its relatives: depthwise, with bias and ReLU fused."""
    source, weights, *bias = node["input"]
    attributes = node["attr"]
    kernel = graph.constants[weights]
    depthwise = "Depthwise" in node["op"]
    groups = kernel.shape[2] if depthwise else 1
    layout = (2, 3, 0, 1) if depthwise else (3, 2, 0, 1)  # HWC1 or HWIO to OIHW
    fused = text(attributes.get("fused_ops", {"list": {}}))
    if not set(fused) <= {"BiasAdd", "Relu"} or ("BiasAdd" in fused) != bool(bias):
        raise SystemExit(f"convert_centernet: {node['name']} fuses {fused}, which is not supported")
    inputs = [graph.need(source), graph.constant(weights, kernel.transpose(layout)), *map(graph.need, bias)]
    name = node["name"]
    graph.add(
        "Conv",
        inputs,
        name + "/conv" if "Relu" in fused else name,
        kernel_shape=kernel.shape[:2],
        strides=[int(step) for step in attributes["strides"]["list"]["i"][1:3]],
        auto_pad="SAME_UPPER" if text(attributes["padding"]) == "SAME" else "VALID",
        group=groups,
    )
    if "Relu" in fused:
        graph.add("Relu", [name + "/conv"], name)


def elementwise(kind):
    def convert(graph, node):
        graph.add(kind, [graph.need(name) for name in node["input"]], node["name"])

    return convert


def relu6(graph, node):
    """relu6(x + 3) is 6 hard_sigmoid(x). The factor meets its inverse in the multiplication that follows."""
    inner = graph.operations[node["input"][0]]
    source, shift = inner["input"]
    if inner["op"] != "Add" or graph.scalar(shift) != 3:
        raise SystemExit(f"convert_centernet: {node['name']} is not part of a hard sigmoid")
    graph.add("HardSigmoid", [graph.need(source)], node["name"], alpha=1 / 6, beta=0.5)


def multiply(graph, node):
    """A product; but one with 1/6, as rounded to float16, is done with by `relu6`."""
    scalars = [graph.scalar(name) for name in node["input"]]
    if scalars[0] is not None and abs(scalars[0] - 1 / 6) < 1e-4:
        graph.add("Identity", [graph.need(node["input"][1])], node["name"])
    else:
        elementwise("Mul")(graph, node)


def mean(graph, node):
    """The mean of a whole map, its two dimensions kept with length 1."""
    graph.add("GlobalAveragePool", [graph.need(node["input"][0])], node["name"])


def resize(graph, node):
    """Twice the size, as TensorFlow 1 did it: output pixel i reads input position i / 2."""
    scales = graph.constant("twice", np.array([1, 1, 2, 2], np.float32))
    graph.add(
        "Resize",
        [graph.need(node["input"][0]), "", scales],
        node["name"],
        mode="linear",
        coordinate_transformation_mode="asymmetric",
    )


def concatenate(graph, node):
    *sources, _axis = node["input"]
    graph.add("Concat", [graph.need(name) for name in sources], node["name"], axis=1)


CONVERTERS = {
    "_FusedConv2D": convolution,
    "FusedDepthwiseConv2dNative": convolution,
    "Conv2D": convolution,
    "DepthwiseConv2dNative": convolution,
    "Add": elementwise("Add"),
    "Mul": multiply,
    "Relu": elementwise("Relu"),
    "Sigmoid": elementwise("Sigmoid"),
    "Identity": elementwise("Identity"),
    "Relu6": relu6,
    "Mean": mean,
    "ResizeBilinear": resize,
    "ConcatV2": concatenate,
}


def decode(graph, heatmap, distances):
    """Adds the decoding of the maps into the best 100 detections.

    A detection is a cell whose logit for a class is the largest among its 3 x 3 neighbours. The best 100 pairs of
    cell and class lie in the 100 cells with the best class, so cells are chosen first and pairs among those.
    The class is the last dimension here: its maximum is then taken over adjacent numbers.
    """
    add, constant = graph.add, graph.constant

    def integers(name, *values):
        return constant(name, np.array(values, np.int64))

    first, last, kept = integers("first", 1), integers("last", 2), integers("kept", KEPT)
    add("MaxPool", [heatmap], "highest_around", kernel_shape=[3, 3], auto_pad="SAME_UPPER")
    add("Transpose", ["highest_around"], "highest", perm=[0, 2, 3, 1])
    add("Transpose", [heatmap], "heat", perm=[0, 2, 3, 1])
    add("Equal", ["heat", "highest"], "is_peak")
    add("Where", ["is_peak", "heat", constant("never", np.float32(-100))], "peaks")
    add("Reshape", ["peaks", integers("by_cell", 0, CELLS * CELLS, CLASSES)], "cell_logits")
    add("ReduceMax", ["cell_logits", last], "best_logit", keepdims=0)
    add("TopK", ["best_logit", kept], ["top_logit", "cell"], axis=1)

    # GatherElements takes one number an index, so the chosen cell is repeated for every class and every side.
    add("Unsqueeze", ["cell", last], "cell_column")
    add("Expand", ["cell_column", integers("every_class", 1, 1, CLASSES)], "cell_per_class")
    add("GatherElements", ["cell_logits", "cell_per_class"], "kept_logits", axis=1)
    add("Reshape", ["kept_logits", integers("pairs", 0, KEPT * CLASSES)], "pair_logits")
    add("TopK", ["pair_logits", kept], ["logit", "pair"], axis=1)
    add("Sigmoid", ["logit"], "score")
    classes = constant("classes", np.int64(CLASSES))
    add("Mod", ["pair", classes], "class")
    add("Div", ["pair", classes], "cell_rank")
    add("GatherElements", ["cell", "cell_rank"], "centre_cell", axis=1)
    add("Unsqueeze", ["centre_cell", first], "cell_row")
    add("Expand", ["cell_row", integers("every_side", 1, 4, 1)], "cell_per_side")
    add("Reshape", [distances, integers("by_side", 0, 4, CELLS * CELLS)], "distance_maps")
    add("GatherElements", ["distance_maps", "cell_per_side"], "distance", axis=2)

    width, stride = constant("width", np.int64(CELLS)), constant("stride", np.float32(STRIDE))
    for axis, operation in (("x", "Mod"), ("y", "Div")):
        add(operation, ["centre_cell", width], axis + "_cell")
        add("Cast", [axis + "_cell"], axis + "_cell_f32", to=TensorProto.FLOAT)
        add("Mul", [axis + "_cell_f32", stride], axis)
    add("Cast", ["class"], "class_f32", to=TensorProto.FLOAT)
    for row in ("x", "y", "score", "class_f32"):
        add("Unsqueeze", [row, first], row + "_row")
    add("Concat", ["x_row", "y_row", "x_row", "y_row"], "centre", axis=1)
    signs = constant("signs", np.array([-1, -1, 1, 1], np.float32).reshape(1, 4, 1))
    add("Mul", ["distance", signs], "offset")
    add("Add", ["centre", "offset"], "box")
    add("Concat", ["box", "score_row", "class_f32_row"], "rows", axis=1)
    add("Transpose", ["rows"], "detections", perm=[0, 2, 1])


def convert(path):
    operations, constants = load(path)
    graph = Graph(operations, constants)
    (image,) = (name for name, node in operations.items() if node["op"] == "Placeholder")
    graph.add("Transpose", ["images"], image, perm=[0, 3, 1, 2])
    decode(graph, graph.need(HEATMAP), graph.need(DISTANCES))
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "MobileNetV3-CenterNet",
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", SIDE, SIDE, 3])],
            [helper.make_tensor_value_info("detections", TensorProto.FLOAT, ["N", KEPT, 6])],
            list(graph.initializers.values()),
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
        producer_name="camcount",
        doc_string=__doc__,
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def main():
    if len(sys.argv) != 3:
        raise SystemExit("usage: convert_centernet.py centernet.json centernet.onnx")
    onnx.save(convert(Path(sys.argv[1])), sys.argv[2])


if __name__ == "__main__":
    main()
