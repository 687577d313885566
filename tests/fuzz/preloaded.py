"""Imports of the server from which the commands fork."""

import torch

import tltm_graph.cli.saved_run
import tltm_graph.detectors
import tltm_graph.explanation
import tltm_graph.formats
import tltm_graph.metrics
import tltm_graph.models
import tltm_graph.synthetic
import tltm_graph.visualization.association_graph
import tltm_graph.visualization.draw
import tltm_graph.visualization.viewer  # noqa: F401

torch.set_num_threads(1)
