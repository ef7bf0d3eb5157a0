"""What the tests of pooling layers share: weights that matter, and the comparison with plain equations."""

from __future__ import annotations

import torch

TOLERANCE = {"atol": 1e-5, "rtol": 1e-5}


def disturbed(layer, seed=0):
    """The layer in double precision and evaluation mode, with weights and statistics that no part of it can ignore."""
    generator = torch.Generator().manual_seed(seed)
    layer = layer.double().eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype) * 0.4)
        for name, buffer in layer.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(generator=generator)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 2, generator=generator)
    return layer


def maps(*shape, seed=1):
    """Random maps in double precision, whose gradient is wanted."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


def assert_equal(layer, equations, x):
    """`layer(x)` is `equations(layer, x)`, and so are the gradients of the input and of every parameter."""
    actual, expected = layer(x), equations(layer, x)
    torch.testing.assert_close(actual, expected, **TOLERANCE)
    probe = torch.randn(actual.shape, generator=torch.Generator().manual_seed(2), dtype=actual.dtype)
    wanted = [x, *layer.parameters()]
    ours = torch.autograd.grad((actual * probe).sum(), wanted)
    theirs = torch.autograd.grad((expected * probe).sum(), wanted)
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their, **TOLERANCE)


def normalised(norm, x, training=False):
    """Batch normalisation written out, along axis 1."""
    shape = (1, -1, *[1] * (x.dim() - 2))
    if training:
        axes = [axis for axis in range(x.dim()) if axis != 1]
        mean, variance = x.mean(axes), x.var(axes, correction=0)
    else:
        mean, variance = norm.running_mean, norm.running_var
    scaled = (x - mean.reshape(shape)) / (variance.reshape(shape) + norm.eps) ** 0.5
    return scaled * norm.weight.reshape(shape) + norm.bias.reshape(shape)


def window_means(x, size):
    """Mean of each window of size x size, pixel by pixel."""
    rows, columns = x.shape[2] // size, x.shape[3] // size
    y = torch.empty(*x.shape[:2], rows, columns, dtype=x.dtype)
    for row in range(rows):
        for column in range(columns):
            window = x[:, :, row * size : (row + 1) * size, column * size : (column + 1) * size]
            y[:, :, row, column] = window.sum((2, 3)) / size**2
    return y
