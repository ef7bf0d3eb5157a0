"""Pooling layers, by name: `create("self_attentive", channels=32, stride=2, size=(16, 16))`."""

from sapool.pooling.base import PoolingLayer
from sapool.pooling.registry import available, create, register

__all__ = ["PoolingLayer", "available", "create", "register"]
