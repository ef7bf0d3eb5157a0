"""How the layers of sapool become integer operators; importing this package registers them with the exporters."""

from sapool.lowering import blocks, convolutions, pools, self_attentive

__all__ = ["blocks", "convolutions", "pools", "self_attentive"]
