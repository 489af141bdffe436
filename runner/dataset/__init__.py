"""Datasets: what is fitted. Any function that returns (x, y) will do; here are those of our own.

x has the shape (samples,) or (samples, features), y has (samples,), or (samples, outputs); either
may be a DataFrame's, and y may be classes by their names.
"""

from runner.dataset.files import csv, npz, parquet
from runner.dataset.generated import (
    blobs,
    chebyshev,
    least_squares,
    linear,
    moons,
    points,
    polynomial,
    separable,
)
from runner.dataset.shipped import digits

__all__ = [
    "blobs",
    "chebyshev",
    "csv",
    "digits",
    "least_squares",
    "linear",
    "moons",
    "npz",
    "parquet",
    "points",
    "polynomial",
    "separable",
]
