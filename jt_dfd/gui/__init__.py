"""The drawing window.

    settings, strokes, document, files, recovery    what is drawn and stored; no widget
    engine, engine_process, guard                   faces, made in a process of their own; no widget
    canvas, selection, faceview, guide, layouts,
    controls, history, series, messages, actions,
    live, filing, window                            what is seen
    words, languages/, theme                        how it is said and painted
    app                                             the command line

The process of the window never imports Jittor: only the child that :mod:`engine_process` runs in does.
"""
