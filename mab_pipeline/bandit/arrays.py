"""Shapes, NaN padding and the refusal of bad values, shared by the whole package."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
IndexArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]


class Batch(NamedTuple):
    """Posteriors of many experiments, one row each.

    Attributes:
        alpha: First shape parameter, shape `(n_experiments, n_variants)`, NaN for padding.
        beta: Second shape parameter, same shape and padding.
        real: True if a cell holds a variant.
        shape: The caller's shape, `(n_variants,)` or `(n_experiments, n_variants)`.
    """

    alpha: FloatArray
    beta: FloatArray
    real: BoolArray
    shape: tuple[int, ...]


def as_floats(values: ArrayLike, name: str) -> FloatArray:
    """Convert to float64, or say which argument is no array of numbers.

    Args:
        values: Anything numpy takes for an array of real numbers.
        name: The argument's name, for the message.

    Returns:
        A float64 array of the same shape.

    Raises:
        ValueError: If the values are ragged, text, complex, or otherwise not real numbers.
    """
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "biufO":
            raise TypeError(f"its type is {array.dtype}")
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array of real numbers: {error}") from error


def same_shape(first: FloatArray, second: FloatArray, names: tuple[str, str]) -> None:
    """Refuse two arrays that do not lie cell on cell.

    Args:
        first: An array.
        second: Another one.
        names: The names in the message.

    Raises:
        ValueError: If the shapes differ.
    """
    if first.shape != second.shape:
        raise ValueError(
            f"{names[0]} and {names[1]} must have one shape, not {first.shape} and {second.shape}"
        )


def refuse(bad: BoolArray, rule: str, **values: FloatArray) -> None:
    """Raise for the first bad cell, if there is one.

    Args:
        bad: True if the cell breaks the rule; 0-D, `(n_variants,)` or
            `(n_experiments, n_variants)`.
        rule: What must hold, as a sentence without its full stop.
        **values: The arrays to quote from, by the name the caller knows them by.

    Raises:
        ValueError: If any cell is bad; names the first one and quotes its values.
    """
    if not bad.any():
        return
    index = tuple(int(i) for i in np.argwhere(bad)[0])
    axes = ("experiment", "variant")[-len(index) :] if index else ()
    cell = ", ".join(f"{axis} {i}" for axis, i in zip(axes, index, strict=True))
    found = ", ".join(f"{name} = {array[index]:.17g}" for name, array in values.items())
    raise ValueError(f"{rule}; {cell + ' has ' if cell else 'got '}{found}")


def as_rows(values: FloatArray, name: str) -> FloatArray:
    """View a 1-D or 2-D array as rows of experiments.

    Args:
        values: Shape `(n_variants,)` or `(n_experiments, n_variants)`.
        name: The argument's name, for the message.

    Returns:
        A view of shape `(n_experiments, n_variants)`.

    Raises:
        ValueError: If the array has no or more than two axes.
    """
    if values.ndim not in {1, 2}:
        raise ValueError(
            f"{name} must have the shape (n_variants,) or (n_experiments, n_variants), "
            f"not {values.shape}"
        )
    return np.atleast_2d(values)


def as_padded(
    first: ArrayLike, second: ArrayLike, names: tuple[str, str]
) -> tuple[FloatArray, FloatArray]:
    """Convert two arrays that lie cell on cell, padding on padding.

    Args:
        first: An array; NaN pads a cell.
        second: Another one, with the same padding.
        names: The names in the message.

    Raises:
        ValueError: If one is no array of real numbers, the shapes differ, or a cell is NaN in one
            array only.
    """
    a, b = as_floats(first, names[0]), as_floats(second, names[1])
    same_shape(a, b, names)
    refuse(
        np.isnan(a) != np.isnan(b),
        f"a padded cell is NaN in both {names[0]} and {names[1]}, a real one in neither",
        **{names[0]: a, names[1]: b},
    )
    return a, b


def as_counts(
    first: ArrayLike, second: ArrayLike, names: tuple[str, str]
) -> tuple[FloatArray, FloatArray]:
    """Convert two arrays of counts as `as_padded` does.

    Raises:
        ValueError: As `as_padded`, or if a count is negative or infinite.
    """
    a, b = as_padded(first, second, names)
    for name, counts in zip(names, (a, b), strict=True):
        bad = np.isinf(counts) | (counts < 0.0)
        refuse(bad, f"{name} must be finite and not negative", **{names[0]: a, names[1]: b})
    return a, b


def as_batch(alpha: ArrayLike, beta: ArrayLike) -> Batch:
    """Check posteriors and bring them into rows.

    Args:
        alpha: First shape parameter, above 0, shape `(n_variants,)` or
            `(n_experiments, n_variants)`; NaN, in both arrays, pads a cell, anywhere in its row.
        beta: Second shape parameter, likewise.

    Returns:
        The batch; `alpha` and `beta` are copies that the caller's later changes cannot reach.

    Raises:
        ValueError: If the shapes are wrong, a cell is NaN in one array only, infinite, zero or
            negative, or an experiment has no real cell.
    """
    a, b = as_padded(alpha, beta, ("alpha", "beta"))
    for name, values in (("alpha", a), ("beta", b)):
        bad = np.isinf(values) | (values <= 0.0)
        refuse(bad, f"{name} must be finite and above 0", alpha=a, beta=b)
    rows_a, rows_b = as_rows(a, "alpha"), as_rows(b, "beta")
    real = ~np.isnan(rows_a)
    empty = np.flatnonzero(~real.any(axis=1))
    if empty.size:
        raise ValueError(f"experiment {empty[0]} has no real cell: every alpha and beta is NaN")
    return Batch(rows_a, rows_b, real, a.shape)
