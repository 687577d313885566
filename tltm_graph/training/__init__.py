"""How models learn: losses, and what they are computed from. :mod:`tltm_graph.training.module` is for Lightning."""

from tltm_graph.training.annotated_files import ImageFiles, VideoFiles
from tltm_graph.training.association_data import AssociationData, DetectionSource, SimulatedDetections
from tltm_graph.training.association_steps import AssociationStep, association_losses, association_steps
from tltm_graph.training.calibration import Calibration, calibration_error, fit_temperature
from tltm_graph.training.detection_files import DetectionFiles
from tltm_graph.training.detector_objective import DetectorObjective
from tltm_graph.training.losses import edge_loss, fcos_losses, mask_loss, smoothed_giou, transition_loss
from tltm_graph.training.memory_graphs import MemoryData, Seen, memory_graph, watch
from tltm_graph.training.model_detections import ModelDetections
from tltm_graph.training.objective import (
    PairObjective,
    current_twice,
    paper_objective,
    released_objective,
    true_previous,
)
from tltm_graph.training.optimization import CosineSchedule, StepSchedule, decayed_groups, weight_average
from tltm_graph.training.pair_data import PairData, TrainingData
from tltm_graph.training.regions import GroundTruthRegions, JitteredBoxes, ProposalRegions, Regions, RegionSampler
from tltm_graph.training.relation import RelationObjective, pooled_graph
from tltm_graph.training.sources import LabelledVideo, Opened, PairDescription, RenderedVideos, VideoDescription
from tltm_graph.training.start_from import StartReport, start_from
from tltm_graph.training.still_images_in_motion import StillImagesInMotion
from tltm_graph.training.validation import TrackingValidation, Validated

__all__ = [
    "AssociationData",
    "AssociationStep",
    "Calibration",
    "CosineSchedule",
    "DetectionFiles",
    "DetectionSource",
    "DetectorObjective",
    "GroundTruthRegions",
    "ImageFiles",
    "JitteredBoxes",
    "LabelledVideo",
    "MemoryData",
    "ModelDetections",
    "Opened",
    "PairData",
    "PairDescription",
    "PairObjective",
    "ProposalRegions",
    "RegionSampler",
    "Regions",
    "RelationObjective",
    "RenderedVideos",
    "Seen",
    "SimulatedDetections",
    "StartReport",
    "StepSchedule",
    "StillImagesInMotion",
    "TrackingValidation",
    "TrainingData",
    "Validated",
    "VideoDescription",
    "VideoFiles",
    "association_losses",
    "association_steps",
    "calibration_error",
    "current_twice",
    "decayed_groups",
    "edge_loss",
    "fcos_losses",
    "fit_temperature",
    "mask_loss",
    "memory_graph",
    "paper_objective",
    "pooled_graph",
    "released_objective",
    "smoothed_giou",
    "start_from",
    "transition_loss",
    "true_previous",
    "watch",
    "weight_average",
]
