"""Models for other programs: ONNX graphs for those without PyTorch, weights under the names of `transformers`."""
