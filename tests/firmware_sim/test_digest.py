"""The SHA-256 of a model is that of its bytes, whenever it is asked for, and travels with reports."""

from __future__ import annotations

import hashlib
import pickle

from firmware_sim.digest import Digest


def test_it_is_that_of_the_bytes_and_of_nothing_without_a_file():
    assert Digest(b"abc").hexadecimal == hashlib.sha256(b"abc").hexdigest()
    assert Digest(None).hexadecimal == ""


def test_digests_are_equal_if_the_bytes_are():
    assert Digest(b"abc") == Digest(b"abc") != Digest(b"abd")
    assert Digest(b"abc") != "abc"
    assert len({Digest(b"abc"), Digest(b"abc"), Digest(b"abd")}) == 2


def test_a_copy_holds_the_digest_but_not_the_bytes():
    content = bytes(range(256)) * 100
    digest = Digest(content)
    pickled = pickle.dumps(digest)
    assert len(pickled) < 300
    assert pickle.loads(pickled) == digest
    assert digest.hexadecimal in repr(digest)
