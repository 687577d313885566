def printable(text: object, limit: int = 200) -> str:
    r"""Format a name from a file for a terminal or an error: one line, without control characters.

    >>> printable("cat\x1b[2J\n")
    'cat\\x1b[2J\\n'

    Args:
        text: Name.
        limit: Largest number of characters; the rest is replaced by an ellipsis.
    """
    whole = str(text)
    shown = whole[:limit] + ("…" if len(whole) > limit else "")
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in shown)
