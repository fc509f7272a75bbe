"""Checkpoints from Jittor to PyTorch and back, with proof.

torch_modules    the whole system as PyTorch modules; ``load_pretrained``, ``save_pretrained``
convert          one file, or a whole folder; sketch to face as an ONNX model
verify           that two files hold the same network and both frameworks compute the same

Importing this package imports neither framework; PyTorch and Jittor never load in one process.
"""
