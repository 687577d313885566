import math


def check_number(name: str, value: float | None, low: float, high: float = math.inf) -> None:
    """Raise a ValueError unless an option is a finite number in a range, or None.

    Args:
        name: Name of the option on the command line, without dashes.
        value: Value; None for the default.
        low: Lowest valid number.
        high: Highest valid number.
    """
    finite = isinstance(value, int) or (value is not None and math.isfinite(value))
    if value is not None and not (finite and low <= value <= high):
        bound = f"of at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
        raise ValueError(f"Expected a finite number {bound} for --{name}, got {value}")
