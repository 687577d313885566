from tltm_graph.data.pairs.draws import mixed

_ROUNDS = 6


class Permutation:
    """A shuffled order of 0, …, size - 1, of which any element is computed by itself: nothing is stored.

    A Feistel network permutes the numbers of an even number of bits, whatever its round function is; here that is a
    hash of the key. What lies beyond ``size`` is permuted again until it does not, fewer than four times on average
    ("cycle walking", Black and Rogaway, Ciphers with Arbitrary Finite Domains, 2002).

    Args:
        size: Length, at least 1.
        key: Whole numbers that name this order among all.
    """

    def __init__(self, size: int, *key: int) -> None:
        if size < 1:
            raise ValueError(f"Expected at least 1 element to shuffle, got {size}")
        self.size = size
        self._half = max(1, ((size - 1).bit_length() + 1) // 2)  # bits
        self._keys = [mixed(*key, number) for number in range(_ROUNDS)]

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> int:
        """The element at ``index``."""
        if not 0 <= index < self.size:
            raise IndexError(f"Expected an index from 0 to {self.size - 1}, got {index}")
        value = self._permuted(index)
        while value >= self.size:
            value = self._permuted(value)
        return value

    def _permuted(self, value: int) -> int:
        mask = (1 << self._half) - 1
        left, right = value >> self._half, value & mask
        for key in self._keys:
            left, right = right, left ^ (mixed(key, right) & mask)
        return left << self._half | right

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.size})"
