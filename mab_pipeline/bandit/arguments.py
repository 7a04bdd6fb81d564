"""Single numbers that callers give: the column of the control, and probabilities."""

from numbers import Integral, Real


def control_column(control: object, n_variants: int) -> int:
    """Return the index of the control.

    Args:
        control: An integer, from 0.
        n_variants: How many variants there are.

    Raises:
        ValueError: If it is no integer, or names no variant. True and False are none.
    """
    is_index = isinstance(control, Integral) and not isinstance(control, bool)
    column = int(control) if is_index else -1  # type: ignore[call-overload]  # an Integral
    if not 0 <= column < n_variants:
        raise ValueError(f"control must be 0 to {n_variants - 1}, not {control!r}")
    return column


def inner_probability(value: object, name: str) -> float:
    """Return a number above 0 and below 1.

    Args:
        value: The number.
        name: The argument's name, for the message.

    Raises:
        ValueError: If it is no such number.
    """
    number = float(value) if isinstance(value, Real) else float("nan")
    if not 0.0 < number < 1.0:
        raise ValueError(f"{name} must lie between 0 and 1, not {value!r}")
    return number
