"""The drawing window.

    settings, strokes, objects, document, files,
    svg, recovery, album                            what is drawn and stored; no widget
    engine, engine_process, guard                   faces, made in a process of their own; no widget
    canvas, selection, faceview, squares, controls,
    history, series, bars, messages, actions,
    facemenus, filing, window                       what is seen
    words, languages/, icons, theme, qt_platform    how it is said and painted
    app                                             the command line

The process of the window never imports Jittor: only the child that :mod:`engine_process` runs in does.
"""
