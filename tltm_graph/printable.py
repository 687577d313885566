def one_line(text: object, limit: int | None = None) -> str:
    r"""Format a text of a file for a terminal or an error: one line, without characters that cannot be printed.

    >>> one_line("cat\x1b[2J\n")
    'cat\\x1b[2J\\n'

    Args:
        text: Text.
        limit: Largest number of characters, the rest is replaced by an ellipsis; None for no limit.
    """
    shown = str(text)
    if limit is not None and len(shown) > limit:
        shown = f"{shown[:limit]}…"
    if shown.isprintable():
        return shown
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in shown)
