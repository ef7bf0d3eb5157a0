"""How the layers of sapool become integer operators; importing this package registers them with the exporters."""

from sapool.lowering import blocks, convolutions, pools, refused, self_attentive, subspace_attention, ulsam, windows

__all__ = ["blocks", "convolutions", "pools", "refused", "self_attentive", "subspace_attention", "ulsam", "windows"]
