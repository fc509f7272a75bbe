"""Checkpoints: every file format and whole folders of any of them, read without executing anything, written atomically.

    folder = checkpoints.open_folder("Params/demo")  # or one for PyTorch
    arrays = folder.network("encoder", "eye1")       # {name: float32 array}, checked against the configuration
    rows = folder.bank("eye1", "female")             # (rows, latent) float32

    with checkpoints.new_folder("mine", config, ".safetensors") as folder:
        folder.write_network("encoder", "eye1", arrays)
        ...
        folder.write_config()

folder.py       a folder: places, configuration, sums
formats.py      one file in any format: pickles, torch_file.py, tensors_file.py; or a bank's raw rows
recognise.py, foreign.py     what a file holds, whoever wrote it
arrays.py       names, shapes and values against what a network needs

Nothing here imports Jittor, and PyTorch only to write its files.
"""
from .arrays import CheckpointError, check_arrays
from .folder import GENDERS, SHARED_BANK, Folder, bank_path, network_path, new_folder, open_folder, write_config
from .formats import read_arrays, read_bank, write_arrays, write_bank

__all__ = ["CheckpointError", "Folder", "GENDERS", "SHARED_BANK", "bank_path", "check_arrays", "network_path",
           "new_folder", "open_folder", "read_arrays", "read_bank", "write_arrays", "write_bank", "write_config"]
