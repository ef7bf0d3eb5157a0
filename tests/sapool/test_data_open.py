"""Data sets are opened from what they are stored in; the pixels are those that Pillow or scikit-learn give."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import tarfile
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

import sapool.data
from sapool.errors import FileError, SapoolError, UsageError

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("sklearn")

SHARED = Path(__file__).parents[3] / "shared" / "data"


def encoded(image, kind="PNG", **options):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, kind, **options)
    return stream.getvalue()


def pixels(number, size=8):
    return np.random.default_rng(number).integers(0, 256, (size, size, 3), dtype=np.uint8)


NAMES = [f"{name}/{number}.png" for name in ("cat", "dog") for number in range(10)]
IMAGES = {name: pixels(number) for number, name in enumerate(NAMES)}
FILES = {name: encoded(image) for name, image in IMAGES.items()}
BROKEN = {**FILES, "dog/broken.png": FILES["dog/0.png"][:60]}
TAR_MODES = {".tar": "w", ".tar.gz": "w:gz", ".tgz": "w:gz", ".tar.xz": "w:xz", ".txz": "w:xz"}


def as_folder(path, files):
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def as_tar(path, files, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def as_zip(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def stored(tmp_path, kind, files):
    if kind == "folder":
        return as_folder(tmp_path / "data", files)
    if kind == ".zip":
        return as_zip(tmp_path / "data.zip", files)
    return as_tar(tmp_path / f"data{kind}", files, TAR_MODES[kind])


def everything(data):
    """All images with their class, in any order."""
    return sorted(
        (data.classes[label], image.tobytes())
        for part in (data.train, data.val, data.test)
        for image, label in zip(part.images, part.labels, strict=True)
    )


@pytest.mark.parametrize("kind", ["folder", ".zip", *TAR_MODES])
def test_every_kind_of_source_gives_the_same_images(tmp_path, kind):
    data = sapool.data.open(stored(tmp_path, kind, {**FILES, "README.txt": b"no image", "cat/.hidden.png": b""}))
    assert data.classes == ("cat", "dog")
    assert data.resolution == 8
    assert everything(data) == sorted((name.split("/")[0], image.tobytes()) for name, image in IMAGES.items())
    folder = sapool.data.open(as_folder(tmp_path / "again", FILES))
    assert np.array_equal(data.test.images, folder.test.images)


def test_nothing_is_written_beside_an_archive(tmp_path, monkeypatch):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    path = as_tar(tmp_path / "data.tar.xz", FILES, "w:xz")
    sapool.data.open(path)
    assert sorted(os.listdir(tmp_path)) == ["data.tar.xz", "tmp"]
    assert not os.listdir(temporary)


def test_parts_of_a_folder(tmp_path):
    files = {f"set/{part}/{name}": content for part in ("train", "test") for name, content in FILES.items()}
    data = sapool.data.open(as_folder(tmp_path, files))
    assert (len(data.train), len(data.val), len(data.test)) == (18, 2, 20)
    assert data.test.origin == f"the test part of {tmp_path}"


def test_resizing_is_what_pillow_does(tmp_path):
    wide = np.random.default_rng(0).integers(0, 256, (20, 60, 3), dtype=np.uint8)
    data = sapool.data.open(as_folder(tmp_path, {**FILES, "cat/0.png": encoded(wide)}), resolution=10)
    square = Image.fromarray(wide).resize((10, 10), Image.Resampling.BILINEAR, box=(20, 0, 40, 20))
    assert ("cat", np.asarray(square).tobytes()) in everything(data)
    assert "bilinear" in data.resize


def test_grey_palette_transparent_and_16_bit_images(tmp_path):
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    deep = (grey.astype(np.uint16) << 8) + 7
    palette = Image.fromarray(pixels(1)).convert("P")
    stream = io.BytesIO()
    palette.save(stream, "PNG", transparency=bytes(range(256)))
    files = {"cat/a.png": encoded(grey), "cat/b.png": encoded(deep), "cat/c.png": stream.getvalue()}
    data = sapool.data.open(as_folder(tmp_path, {**FILES, **files}))
    found = [image for _, image in everything(data)]
    assert found.count(np.repeat(grey[..., None], 3, axis=2).tobytes()) == 2
    assert np.asarray(palette.convert("RGB")).tobytes() in found


def test_the_orientation_that_a_camera_notes_is_followed(tmp_path):
    image = pixels(5)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    data = sapool.data.open(as_folder(tmp_path, {**FILES, "cat/0.png": encoded(image, exif=exif)}))
    assert ("cat", np.rot90(image, -1).tobytes()) in everything(data)


def test_one_channel(tmp_path):
    data = sapool.data.open(as_folder(tmp_path, FILES), channels=1)
    expected = np.asarray(Image.fromarray(IMAGES["cat/0.png"]).convert("L"))
    assert data.channels == 1
    assert ("cat", expected.tobytes()) in everything(data)


@pytest.mark.parametrize("kind", ["folder", ".zip", ".tar"])
def test_a_broken_image_is_named(tmp_path, kind):
    path = stored(tmp_path, kind, BROKEN)
    with pytest.raises(FileError, match=r"dog/broken\.png: does not decode") as caught:
        sapool.data.open(path)
    assert "--skip-broken" in str(caught.value)


@pytest.mark.parametrize("kind", ["folder", ".zip", ".tar"])
def test_broken_images_are_skipped_on_request(tmp_path, kind):
    data = sapool.data.open(stored(tmp_path, kind, BROKEN), on_broken="skip")
    assert len(everything(data)) == len(FILES)
    assert [line.split(": ")[0] for line in data.skipped] == ["dog/broken.png"]


def test_a_class_of_broken_images_is_an_empty_class(tmp_path):
    with pytest.raises(FileError, match="class owl has no images that can be used"):
        sapool.data.open(as_folder(tmp_path, {**FILES, "owl/1.png": b"hoot"}), on_broken="skip")


def png_of_size(width, height):
    """A PNG that claims a size but holds next to nothing."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


# Twice Pillow's limit is an error of Pillow's; between once and twice it only warns.
@pytest.mark.parametrize("width", [10_000, 100_000])
def test_an_image_with_too_many_pixels_is_refused(tmp_path, width):
    with pytest.raises(FileError, match=r"big\.png: does not decode: .*exceeds limit"):
        sapool.data.open(as_folder(tmp_path, {**FILES, "cat/big.png": png_of_size(width, 10_000)}))


def test_other_programs_are_not_asked_to_decode(tmp_path):
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nshowpage\n"
    with pytest.raises(FileError, match="not an image of a known format"):
        sapool.data.open(as_folder(tmp_path, {**FILES, "cat/x.png": script}))


def test_links_and_paths_that_climb_out_are_passed_over(tmp_path):
    path = tmp_path / "data.tar"
    as_tar(path, FILES)
    with tarfile.open(path, "a") as archive:
        for name, kind, target in [
            ("cat/link.png", tarfile.SYMTYPE, "/etc/passwd"),
            ("cat/hard.png", tarfile.LNKTYPE, "cat/0.png"),
            ("cat/device.png", tarfile.CHRTYPE, ""),
        ]:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            archive.addfile(member)
        for name in ("../owl/1.png", "/owl/1.png", "cat/../../owl/1.png"):
            member = tarfile.TarInfo(name)
            member.size = 4
            archive.addfile(member, io.BytesIO(b"hoot"))
    data = sapool.data.open(path)
    assert len(everything(data)) == len(FILES)
    assert data.classes == ("cat", "dog")


def test_links_in_a_zip_are_passed_over(tmp_path):
    path = as_zip(tmp_path / "data.zip", FILES)
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo("cat/link.png")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    assert len(everything(sapool.data.open(path))) == len(FILES)


@pytest.mark.parametrize("kind", [".zip", *TAR_MODES])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9])
def test_a_cut_off_archive_is_an_error(tmp_path, kind, share):
    path = stored(tmp_path, kind, FILES)
    content = path.read_bytes()
    # Inside the data of a member, so that the end is not that of a whole file (tar pads to records of 10 KiB).
    size = len(content) if kind != ".tar" else len(FILES) * 1024
    path.write_bytes(content[: int(size * share) // 1024 * 1024 + 600 if kind == ".tar" else int(size * share)])
    with pytest.raises(FileError, match=r"damaged or cut off|does not decode|too few|holds no images"):
        sapool.data.open(path)


def test_a_damaged_header_in_the_middle_is_not_the_end(tmp_path):
    path = as_tar(tmp_path / "data.tar", FILES)
    content = bytearray(path.read_bytes())
    position = content.index(b"dog/3.png")
    content[position : position + 512] = b"\xff" * 512
    path.write_bytes(content)
    with pytest.raises(FileError, match="damaged or cut off"):
        sapool.data.open(path)


@pytest.mark.parametrize("seed", range(60))
def test_random_damage_never_ends_in_anything_but_an_error(tmp_path, seed):
    rng = np.random.default_rng(seed)
    path = stored(tmp_path, [".tar", ".tar.xz", ".zip"][seed % 3], FILES)
    content = np.frombuffer(path.read_bytes(), np.uint8).copy()
    content[rng.integers(0, len(content), 20)] = rng.integers(0, 256, 20)
    path.write_bytes(content.tobytes())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            data = sapool.data.open(path, on_broken="skip")
        except SapoolError:
            return
    assert data.resolution == 8


def test_a_member_that_claims_to_be_huge_is_not_read(tmp_path):
    path = as_tar(tmp_path / "data.tar", FILES)
    content = bytearray(path.read_bytes())
    start = content.index(b"dog/3.png")
    header = tarfile.TarInfo("dog/3.png")
    header.size = 2**40
    content[start : start + 512] = header.tobuf(tarfile.GNU_FORMAT)
    path.write_bytes(content)
    with pytest.raises(FileError, match="larger than 64 MiB"):
        sapool.data.open(path)


def test_an_archive_that_unpacks_to_far_more_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("sapool.data.archives._MAX_SMALL_BYTES", 2**20)
    path = as_tar(tmp_path / "data.tar.xz", {**FILES, "cat/zeros.bin": bytes(8 * 2**20)}, "w:xz")
    with pytest.raises(FileError, match="unpacks to more than"):
        sapool.data.open(path)
    zipped = as_zip(tmp_path / "data.zip", {**FILES, "cat/zeros.bin": bytes(8 * 2**20)})
    with pytest.raises(FileError, match="unpacks to"):
        sapool.data.open(zipped)


@pytest.mark.parametrize("name", ["data.tar.bz2", "data.rar", "data.png"])
def test_other_files_are_not_supported(tmp_path, name):
    (tmp_path / name).write_bytes(b"?")
    with pytest.raises(FileError, match="not a data set of a supported kind"):
        sapool.data.open(tmp_path / name)


def test_a_missing_source_is_said(tmp_path):
    with pytest.raises(FileError, match="no such data set") as caught:
        sapool.data.open(tmp_path / "nowhere")
    assert "digits" in str(caught.value)


@pytest.mark.parametrize(
    "options", [{"resolution": 0}, {"resolution": 10**6}, {"channels": 2}, {"seed": -1}, {"on_broken": "ignore"}]
)
def test_options_that_make_no_sense(options):
    with pytest.raises(UsageError):
        sapool.data.open("digits", **options)


def test_images_of_different_shape_need_a_resolution(tmp_path):
    with pytest.raises(UsageError, match=r"not square \(4x8\)"):
        sapool.data.open(
            as_folder(tmp_path, {"cat/0.png": encoded(pixels(0)[:, :4]), **{k: FILES[k] for k in NAMES[1:]}})
        )


def test_images_that_do_not_fit_into_memory_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("sapool.data.collect._room_bytes", lambda: 1000)
    with pytest.raises(UsageError, match="do not fit into memory at 8x8"):
        sapool.data.open(as_folder(tmp_path, FILES))


def test_progress_ends_with_everything(tmp_path):
    seen = []
    sapool.data.open(as_folder(tmp_path, FILES), progress=lambda count, share: seen.append((count, share)))
    assert seen[-1] == (len(FILES), 1.0)


@pytest.mark.oracle
def test_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    data = sapool.data.open("digits", resolution=8)
    raw, labels = load_digits(return_X_y=True)
    expected = sorted(
        (str(label), np.repeat(np.rint(row * 255 / 16).astype(np.uint8), 3).tobytes())
        for row, label in zip(raw, labels, strict=True)
    )
    assert everything(data) == expected


def test_digits_are_32_pixels_wide_and_not_to_be_mirrored():
    data = sapool.data.open("digits")
    assert data.train.images.shape == (1079, 32, 32, 3)
    assert (len(data.val), len(data.test)) == (179, 539)
    assert data.classes == tuple("0123456789")
    assert not data.flip_keeps_label


def test_importing_the_data_imports_neither_torch_nor_pillow():
    code = "import sys, sapool.data; print(sorted({'torch', 'PIL', 'sklearn'} & set(sys.modules)))"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "flowers128.tar").exists(), reason="no ../shared/data/flowers128.tar")
def test_photographs_from_an_archive():
    data = sapool.data.open(SHARED / "flowers128.tar")
    assert data.classes == ("daisy", "dandelion", "rose", "sunflower", "tulip")
    assert data.resolution == 128
    assert len(data.val) == 602
    assert len(data.train) + len(data.test) == 2930
