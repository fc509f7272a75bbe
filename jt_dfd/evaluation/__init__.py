"""Scores and picture sheets on a held-out split.

metrics     distances between pictures and between sets of features; numpy only
judges      networks of the perceptual, Frechet and kernel distance, and which files they came from
command     the command line of tools/evaluate.py
run         what is compared with what, on how many pictures, as a dictionary and sheets
"""
