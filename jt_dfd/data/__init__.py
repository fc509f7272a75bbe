"""Training data: alignment, sketching, generated faces, the index, augmentation and the dataset.

Importing this package imports nothing heavy; only ``hed`` and ``dataset`` load Jittor.
"""
