"""Error message for a package of an optional extra that is not installed."""


def missing_extra(package: str, purpose: str, extra: str = "viz") -> ImportError:
    """Build the error for an optional package that cannot be imported.

    Args:
        package: Name of the package.
        purpose: What it is needed for, as in "to draw a video".
        extra: Extra of this package that installs it.
    """
    return ImportError(
        f"Expected '{package}' {purpose}, found none: pip install 'tltm-graph[{extra}]' (in a checkout of the "
        f"repository: pip install '.[{extra}]')"
    )
