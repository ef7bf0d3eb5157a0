"""What every source of images becomes: arrays in memory, in three parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firmware_sim.errors import UsageError

PARTS: Final = ("train", "val", "test")
"""Weights are learned on `train`, choices are made on `val`, and `test` is only ever reported."""


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """One part of a data set.

    Args:
        images: uint8 [N, H, W, C].
        labels: int64 [N], indices into the data set's classes.
        origin: where the images come from, in words ("test part of flowers.tar", "10% split off ...").
        names: of the images in their source, one each; empty where they have none.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    origin: str = ""
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[np.integer], origin: str | None = None) -> Split:
        """The images at `indices`, in that order; the origin stays unless another is given."""
        names = tuple(self.names[index] for index in indices) if self.names else ()
        return Split(self.images[indices], self.labels[indices], self.origin if origin is None else origin, names)

    def name(self, index: int) -> str:
        """What to call an image in messages: its name, or its position if it has none."""
        return self.names[index] if self.names else f"image {index}"


@dataclass(frozen=True, slots=True, eq=False)
class DataSet:
    """Labelled images of one square size.

    Args:
        name: what the data set is called in reports.
        classes: names of the classes; labels count in this order (sorted by name).
        train: images to learn from; empty if the source has nothing but other parts.
        val: images to choose by.
        test: images to report on.
        resize: how images of another size were brought to this one, in words.
        flip_keeps_label: whether a mirrored image still belongs to its class (false for digits).
        skipped: names of the images that did not decode, with the reason.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    val: Split
    test: Split
    resize: str
    flip_keeps_label: bool = True
    skipped: tuple[str, ...] = ()

    @property
    def resolution(self) -> int:
        """Height and width of the images, in pixels."""
        return int(self.train.images.shape[1])

    @property
    def channels(self) -> int:
        """Channels of the images: 3 (RGB) or 1 (grey)."""
        return int(self.train.images.shape[3])

    def split(self, part: str) -> Split:
        """The part called `part`.

        Raises:
            UsageError: there is no such part.
        """
        if part not in PARTS:
            raise UsageError(f"no part is called {part!r}", hint=f"parts are {', '.join(PARTS)}")
        split: Split = getattr(self, part)
        return split


@dataclass(frozen=True, slots=True, eq=False)
class Collection:
    """What a source holds before missing parts are split off: any subset of the parts, or one undivided whole.

    `parts` maps "train", "val", "test" (or "", the undivided whole) to their images.
    """

    name: str
    classes: tuple[str, ...]
    parts: dict[str, Split]
    resize: str
    flip_keeps_label: bool = True
    skipped: tuple[str, ...] = ()
