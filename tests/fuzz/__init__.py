"""Hostile inputs: mutated files, interrupted runs, full disks. ``make fuzz`` runs the mutations for longer."""
