"""What a machine has for this project, and whether it computes right."""
