import re


def natural_order(name: str) -> list[int | str]:
    """A key that sorts names by the numbers in them: frame2 before frame10."""
    return [int(part) if index % 2 else part for index, part in enumerate(re.split(r"(\d+)", name))]
