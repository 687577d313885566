"""The parts of experiments/ablate.py."""
