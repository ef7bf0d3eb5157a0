"""Operators that move elements about."""

from __future__ import annotations

from math import prod

from firmware_sim.memory.kernels.context import Node, prepares


@prepares("GATHER", "GATHER_ND", "DEPTH_TO_SPACE", "SPACE_TO_DEPTH", "L2_POOL_2D")
def relocating(node: Node) -> None:
    """The output's shape is copied to be written to. Source: kernel_util.cc:128-147."""
    node.relocate_dims(node.output())


@prepares("EMBEDDING_LOOKUP")
def embedding_lookup(node: Node) -> None:
    """Source: embedding_lookup.cc:54, 102."""
    node.relocate_dims(node.output())
    node.persistent(2 * node.profile.pointer_bytes)


@prepares("RESHAPE")
def reshape(node: Node) -> None:
    """A size of -1 in the output's shape becomes what is left of the input. Source: reshape_common.cc:66-75.

    Raises:
        ModelError: more than one size is open, or the elements cannot be dealt out.
    """
    shape = node.output().shape
    if -1 not in shape:
        return
    known = prod(size for size in shape if size != -1)
    elements = node.input(0).elements
    if shape.count(-1) > 1 or known == 0 or elements % known:
        raise node.error(f"cannot reshape {list(node.input(0).shape)} to {list(shape)}")
    node.relocate_dims(node.output())
    node.reshape_output(tuple(elements // known if size == -1 else size for size in shape))


@prepares("MIRROR_PAD")
def mirror_pad(node: Node) -> None:
    """Source: mirror_pad.cc:196-201."""
    rank = len(node.input(0).shape)
    node.scratch(4 * rank, 4 * rank)
