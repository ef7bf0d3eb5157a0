"""Networks: `build(parse("mobilenet_v2-self_attentive-1221121:width=0.35"))`."""

from sapool.models.registry import available, build, parts, register

__all__ = ["available", "build", "parts", "register"]
