"""Checkpoints: the release's folder layout, read without executing anything, written atomically.

    folder = checkpoints.open_folder("Params/demo")
    arrays = folder.network("encoder", "eye1")      # {name: float32 array}, checked against the configuration
    rows = folder.bank("eye1", "female")            # (rows, latent) float32

Nothing here imports Jittor.
"""
from .banks import read_bank, write_bank
from .errors import CheckpointError
from .files import read_arrays, write_arrays
from .folder import GENDERS, SHARED_BANK, Folder, bank_path, network_path, open_folder, write_config
from .strict import check_arrays

__all__ = ["CheckpointError", "Folder", "GENDERS", "SHARED_BANK", "bank_path", "check_arrays", "network_path",
           "open_folder", "read_arrays", "read_bank", "write_arrays", "write_bank", "write_config"]
