from collections.abc import Sequence


def class_name(label: int, class_names: Sequence[str] | None) -> str:
    """The name of a class, ``"class 7"`` where it has none."""
    return class_names[label] if class_names and label < len(class_names) else f"class {label}"
