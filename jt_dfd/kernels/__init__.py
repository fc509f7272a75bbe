"""JIT kernels, one a file: a public function, its reference in plain Jittor operations, a CPU source and a CUDA source.

    projection   K nearest rows of a bank, the weights that rebuild the query, and the projected vector
                 (nth_element: the release's choice of rows, in C++)
    merge        five feature maps onto the canvas in one pass, with gradients
    rows         rows of a variable copied to rows of another
    linear       linear layers of several networks at once
    normalise    norm, activation, residual sum and border between two convolutions, with gradients
    picture_norm the same for inference, of several networks at once
    shadow       weighted sum of decoded neighbours, masks and clipping in one pass
    selection    no kernel: what projection and shadow compute, in NumPy

Each file has ``SHARED`` (arithmetic that both sources use, so that CPU tests cover it), ``CPU`` and ``CUDA`` (each a
set of functions on raw pointers, complete C++ by itself) and ``self_test()``, which compares with the reference on the
device in use.  tests/emulation runs the ``CUDA`` texts on a CPU.  Every launch is followed by ``JT_DFD_LAUNCHED``.
"""
