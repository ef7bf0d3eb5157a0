"""How the layers of sapool become integer operators; importing this package registers them with the exporters."""

from sapool.lowering import convolutions, pools, refused, self_attentive, subspace_attention, ulsam, windows

__all__ = ["convolutions", "pools", "refused", "self_attentive", "subspace_attention", "ulsam", "windows"]
