"""Models for other programs: ONNX graphs for those without PyTorch, weights in the layout of others."""
