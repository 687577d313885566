# Sixteen hues far apart from their neighbours, readable on dark and light pictures.
PALETTE = (
    *("#e6194b", "#3cb44b", "#ffe119", "#4363d8", "#f58231", "#911eb4", "#46f0f0", "#f032e6"),
    *("#bcf60c", "#fabebe", "#008080", "#e6beff", "#9a6324", "#aaffc3", "#808000", "#ffd8b1"),
)


def track_colour(track: int) -> str:
    """The colour of a track, as #rrggbb; black for none."""
    return PALETTE[track % len(PALETTE)] if track >= 0 else "#000000"
