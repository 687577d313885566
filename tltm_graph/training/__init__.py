"""Training: data, objectives and schedules. Only :mod:`tltm_graph.training.module` needs Lightning."""

from tltm_graph.training.association_data import AssociationData
from tltm_graph.training.detection_sources import DetectionFiles, ModelDetections, SimulatedDetections
from tltm_graph.training.fusion_objective import FusionObjective
from tltm_graph.training.memory_data import MemoryData
from tltm_graph.training.objectives import DetectorObjective, MaskObjective, PairObjective
from tltm_graph.training.optimization import CosineSchedule, StepSchedule
from tltm_graph.training.regions import GroundTruthRegions, JitteredBoxes, ProposalRegions
from tltm_graph.training.relation_objective import RelationObjective
from tltm_graph.training.sources import FrameGaps, ImageFiles, RenderedVideos, UnlabelledVideos, VideoFiles
from tltm_graph.training.still_images_in_motion import StillImagesInMotion
from tltm_graph.training.training_data import PairData
from tltm_graph.training.validation import TrackingValidation

__all__ = [
    "AssociationData",
    "CosineSchedule",
    "DetectionFiles",
    "DetectorObjective",
    "FrameGaps",
    "FusionObjective",
    "GroundTruthRegions",
    "ImageFiles",
    "JitteredBoxes",
    "MaskObjective",
    "MemoryData",
    "ModelDetections",
    "PairData",
    "PairObjective",
    "ProposalRegions",
    "RelationObjective",
    "RenderedVideos",
    "SimulatedDetections",
    "StepSchedule",
    "StillImagesInMotion",
    "TrackingValidation",
    "UnlabelledVideos",
    "VideoFiles",
]
