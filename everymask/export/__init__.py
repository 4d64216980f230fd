"""Models as ONNX graphs, for programs without PyTorch: other languages, phones, browsers."""
