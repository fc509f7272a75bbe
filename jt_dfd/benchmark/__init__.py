"""Speed and memory of every stage, measured: ``tools/benchmark.py``.

The process that is started imports neither Jittor nor PyTorch.  Each *side* (this project in Jittor; the release's way
of working in Jittor; the converter's modules in PyTorch) is a worker process of its own; rounds go from side to side in
turn, so that whatever else the machine does hits all of them, and ratios are medians of paired rounds.

    stages        what can be measured, and by whom
    inputs        sketches, strokes, weights and pictures made from seeds
    flops         operations of each network, counted from the configuration
    worker        the child process; the sides are jittor_side, release_side, torch_side (and their *_training)
    client        the parent's end of a worker
    run           warm up, alternate, collect; what goes wrong becomes a row that says so
    report        the table and the JSON
"""
