"""From sketches to faces: networks and feature banks (pipeline), many files at once (command)."""
