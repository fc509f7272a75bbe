"""From sketches to faces: networks (pipeline), feature banks (manifold), many files at once (batch, command)."""
