"""From sketches to faces."""
