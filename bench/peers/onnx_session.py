"""ONNX Runtime, CPU provider: inference. The model is made with the package onnx."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from peers import Peer, Refusal

OPERATORS = {"sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "Relu", "softmax": "Softmax"}


class OnnxRuntime(Peer):
    """A graph of Gemm and activations, optimised as the session does by default."""

    def versions(self):
        return {"onnxruntime": onnxruntime.__version__, "onnx": onnx.__version__, "numpy": np.__version__}

    def build(self):
        if self.problem.trains:
            raise Refusal("inference only")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        model = self.model().SerializeToString()
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def model(self):
        p, nodes, values, last = self.problem, [], [], "X"
        for l, (W, b) in enumerate(self.start, 1):
            values += [numpy_helper.from_array(W, f"W{l}"), numpy_helper.from_array(b, f"b{l}")]
            nodes.append(helper.make_node("Gemm", [last, f"W{l}", f"b{l}"], [f"Z{l}"]))
            last = f"Z{l}"
            activation = p.output if l == len(self.start) else p.hidden
            if activation != "identity":
                nodes.append(helper.make_node(OPERATORS[activation], [last], [f"A{l}"]))
                last = f"A{l}"
        kind = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}[p.dtype]
        ends = [("X", p.widths[0]), (last, p.widths[-1])]
        ends = [helper.make_tensor_value_info(name, kind, ["m", n]) for name, n in ends]
        graph = helper.make_graph(nodes, "network", ends[:1], ends[1:], values)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    def hold(self, X, Y, labels):
        self.X = X
        if self.problem.single:
            self.pairs = [(x[None], None) for x in X]

    def reset(self):
        pass

    def predict(self, X):
        return self.session.run(None, {"X": X})[0]

    def predict_one(self, x):
        return self.session.run(None, {"X": x})[0][0]
