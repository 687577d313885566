"""Parts of experiments/ablate.py."""
