"""What the training of every detector shares: features, graphs of ONNX, logs, calibration, the list
of models. Nothing here knows a detector."""
