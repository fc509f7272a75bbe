"""Speed and memory of every stage, measured: ``tools/benchmark.py``.

The process that is started imports neither Jittor nor PyTorch.  Each *side* (this project in Jittor; the release's way
of working in Jittor; the converter's modules in PyTorch) is a worker process of its own; rounds go from side to side in
turn, so that whatever else the machine does hits all of them, and ratios are medians of paired rounds.

    stages        what can be measured, by whom, and its operations, counted from the table of layers
    inputs        sketches, strokes, weights and pictures made from seeds
    side          the stages, in a worker process; the frameworks' steps for them are in jittor_side, release_side and
                  torch_side
    run           workers (``jt_dfd.child``): warm up, alternate, collect; what goes wrong becomes a row that says so
    report        what follows from a row's timings, the table and the JSON; machine: what it was measured on
"""
