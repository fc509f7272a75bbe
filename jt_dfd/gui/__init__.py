"""The drawing window.

    settings, strokes, document, files, recovery    what is drawn and stored; no widget
    engine, engine_process                          faces, made in a process of their own; no widget
    canvas, faceview, stage, controls, history,
    sweep, morph, messages, actions, window          what is seen
    words, languages/, icons, theme, qt_platform     how it is said and painted
    app                                             the command line

The process of the window never imports Jittor: only the child that :mod:`engine_process` runs in does.
"""
