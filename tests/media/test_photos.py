"""Photos of every kind become upright RGB uint8 by the stated rules, or are refused."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, features

from everymask.errors import OptionError, PictureError
from everymask.media.photos import photo_size, read_photo, to_bytes

RED, GREEN = (255, 0, 0), (0, 255, 0)


@pytest.fixture
def corner():
    """A 3 x 2 (W x H) picture, black but for a red upper left and a green lower right pixel."""
    pixels = np.zeros((2, 3, 3), np.uint8)
    pixels[0, 0], pixels[1, 2] = RED, GREEN
    return pixels


# --- arrays ---------------------------------------------------------------------------------------


def test_an_rgb_array_passes_without_a_copy(corner):
    assert np.shares_memory(read_photo(corner), corner)


def test_a_view_turned_round_becomes_contiguous(corner):
    assert read_photo(corner[..., ::-1]).flags.c_contiguous


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 1)])
def test_gray_arrays_get_three_equal_channels(shape):
    gray = np.arange(6, dtype=np.uint8).reshape(shape)
    photo = read_photo(gray)
    assert photo.shape == (2, 3, 3)
    assert (photo == gray.reshape(2, 3, 1)).all()


def test_transparency_is_dropped_and_the_stored_colours_stay():
    pixels = np.array([[[10, 20, 30, 0], [40, 50, 60, 255]]], np.uint8)
    assert read_photo(pixels).tolist() == [[[10, 20, 30], [40, 50, 60]]]


def test_with_a_background_transparency_is_composed():
    pixels = np.array([[[10, 20, 30, 0], [40, 50, 60, 255], [0, 0, 0, 51]]], np.uint8)
    assert read_photo(pixels, background=(255, 255, 255)).tolist() == [
        [[255, 255, 255], [40, 50, 60], [204, 204, 204]]
    ]


def test_booleans_become_black_and_white():
    assert to_bytes(np.array([[False, True]])).tolist() == [[0, 255]]


def test_values_near_the_end_of_float32_are_spread_without_an_overflow():
    wide = np.array([[0, 3e38], [1e38, 2e38]], np.float32)
    assert to_bytes(wide, "minmax").tolist() == [[0, 255], [85, 170]]
    broken = np.array([[0, 100], [50, 3e38]], np.float32)
    assert to_bytes(broken, (0, 100)).tolist() == [[0, 255], [128, 255]]
    assert to_bytes(-broken, (-100, 0)).tolist() == [[255, 0], [128, 0]]


def test_eight_bit_values_are_never_remapped():
    dim = np.array([[3, 9]], np.uint8)
    assert to_bytes(dim, "minmax") is dim


@pytest.mark.parametrize(
    ("values", "rule", "expected"),
    [
        (np.array([100, 200, 300], np.uint16), "minmax", [0, 128, 255]),
        (np.array([0, 257, 65535], np.uint16), "dtype", [0, 1, 255]),
        (np.array([-32768, 0, 32767], np.int16), "dtype", [0, 128, 255]),
        (np.array([0.0, 0.5, 1.0], np.float32), "dtype", [0, 128, 255]),
        (np.array([-1.0, 2.0, 99.0]), (0.0, 4.0), [0, 128, 255]),
        (np.array([2_000_000_000, 2_000_000_100], np.int64), "minmax", [0, 255]),
        (np.array([7, 7, 7], np.uint16), "percentile", [0, 0, 0]),
        (np.array([100, 200, 300], ">u2"), "minmax", [0, 128, 255]),
        (np.array([0.0, 1.0], np.float16), "minmax", [0, 255]),
    ],
)
def test_deep_values_are_mapped_by_the_range(values, rule, expected):
    assert to_bytes(values, rule).tolist() == expected


def test_percentile_ignores_a_few_hot_pixels():
    pixels = np.full((100, 100), 1000, np.uint16)
    pixels[:, :50] = 500
    pixels[0, :20] = 65535  # 0.2 % of the picture
    assert set(to_bytes(pixels).ravel().tolist()) == {0, 255}
    assert to_bytes(pixels)[50, 0] == 0
    assert to_bytes(pixels)[50, 99] == 255


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((0, 4, 3), np.uint8), r"a photo must have pixels, got shape \(0, 4, 3\)"),
        (np.zeros((40, 50, 5), np.uint8), r"got \(40, 50, 5\); choose three of its channels"),
        (
            np.zeros((3, 40, 50), np.uint8),
            r"got \(3, 40, 50\); channels come last: array.transpose\(1, 2, 0\)",
        ),
        (np.zeros((4, 5, 2), np.uint8), r"got \(4, 5, 2\)$"),
        (np.zeros(7, np.uint8), r"got \(7,\)$"),
        (np.full((4, 5), np.nan), "got NaN or infinity; in an array, use np.nan_to_num first"),
        (np.full((4, 5), np.inf, np.float32), "got NaN or infinity"),
        (np.zeros((4, 5), complex), "integers or floats, got values of type complex128"),
        (np.array([["a"]]), "integers or floats, got values of type <U1"),
    ],
)
def test_arrays_that_are_no_picture_are_refused(pixels, message):
    with pytest.raises(PictureError, match=message):
        read_photo(pixels)


def test_something_else_than_a_photo_is_refused():
    with pytest.raises(
        PictureError, match=r"must be a path, an RGB array of shape \(H, W, 3\) or a PIL picture, got int"
    ):
        read_photo(5)


def test_floats_over_one_are_refused_when_taken_as_they_are():
    with pytest.raises(PictureError, match="range='dtype' wants floats from 0 to 1, got 0 to 255"):
        read_photo(np.array([[0.0, 255.0]]), range="dtype")


@pytest.mark.parametrize("rule", ["max", (1, 1), (2, 1), (1, 2, 3), None])
def test_an_unknown_range_is_refused(corner, rule):
    with pytest.raises(OptionError, match="range must be 'percentile', 'minmax', 'dtype' or"):
        read_photo(corner, range=rule)


def test_a_background_that_is_no_colour_is_refused(corner):
    with pytest.raises(OptionError, match=r"background must be \(r, g, b\) with values 0 to 255"):
        read_photo(corner, background=(0, 0, 300))


# --- orientation ----------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpg", "png", "deep png"])
def test_every_exif_orientation_is_undone(tmp_path, orientation, kind):
    seen = np.zeros((16, 24, 3), np.uint8)
    seen[:8, :8], seen[8:, 16:] = RED, GREEN
    undo = {1: [], 2: [1], 3: [2], 4: [0], 5: [5], 6: [4], 7: [6], 8: [3]}  # PIL's transposes
    inverse = {3: Image.Transpose.ROTATE_270, 4: Image.Transpose.ROTATE_90}
    names = {
        0: Image.Transpose.FLIP_TOP_BOTTOM,
        1: Image.Transpose.FLIP_LEFT_RIGHT,
        2: Image.Transpose.ROTATE_180,
    }
    names |= {5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.TRANSVERSE}
    stored = Image.fromarray(seen)
    for step in undo[orientation]:
        stored = stored.transpose(inverse.get(step) or names[step])
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"photo.{kind[-3:]}"
    if kind == "deep png":
        path.write_bytes(_deep_png(np.asarray(stored).astype(np.uint16) * 257, exif.tobytes()[6:]))
    else:
        stored.save(path, exif=exif, quality=95)
    photo = read_photo(path)
    assert photo.shape == (16, 24, 3)
    assert np.abs(photo.astype(int) - seen).max() < 128  # JPEG
    assert photo_size(path) == (16, 24)


def test_a_pil_picture_is_turned_like_its_file(tmp_path, corner):
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(corner).save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as picture:
        assert read_photo(picture).tolist() == corner[::-1, ::-1].tolist()


def _deep_png(pixels, exif):
    """A 16-bit RGB PNG [H, W, 3] with an eXIf chunk."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    body = (
        chunk(b"IHDR", header)
        + chunk(b"eXIf", exif)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    return b"\x89PNG\r\n\x1a\n" + body


# --- modes and depths -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "F", "I;16", "La", "RGBa"]
)
def test_every_pil_mode_becomes_rgb(mode):
    picture = Image.new(mode, (5, 4))
    photo = read_photo(picture)
    assert (photo.shape, photo.dtype) == ((4, 5, 3), np.uint8)


def test_palette_transparency_is_composed_on_the_background(tmp_path):
    picture = Image.new("P", (2, 1))
    picture.putpalette([*RED, *GREEN])
    picture.putpixel((1, 0), 1)
    picture.save(tmp_path / "a.png", transparency=0)
    assert read_photo(tmp_path / "a.png").tolist() == [[list(RED), list(GREEN)]]
    assert read_photo(tmp_path / "a.png", background=(9, 9, 9)).tolist() == [[[9, 9, 9], list(GREEN)]]


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_are_mapped_and_not_cut(tmp_path, name, channels):
    """Pillow alone would hand 16-bit colour over as its upper 8 bits: here 0, 0, 1."""
    ramp = np.array([0, 128, 256], np.uint16).reshape(1, 3, 1).repeat(channels, axis=2)
    cv2.imwrite(str(tmp_path / name), ramp)
    assert read_photo(tmp_path / name, range="minmax")[0].tolist() == [[0] * 3, [128] * 3, [255] * 3]


def test_deep_colour_keeps_the_order_of_its_channels(tmp_path):
    bgr = np.zeros((2, 2, 3), np.uint16)
    bgr[..., 2] = 65535
    cv2.imwrite(str(tmp_path / "a.png"), bgr)
    assert read_photo(tmp_path / "a.png")[0, 0].tolist() == list(RED)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint32", "int16"])
def test_gray_tiffs_of_every_depth_are_read(tmp_path, dtype):
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "a.tif", np.array([[0, 50], [100, 100]], dtype))
    assert read_photo(tmp_path / "a.tif", range="minmax")[..., 0].tolist() == [[0, 128], [255, 255]]


def test_float_colour_tiffs_are_read(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    pixels = np.zeros((4, 6, 3), np.float32)
    pixels[..., 0] = 1
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb")
    assert read_photo(tmp_path / "a.tif", range="dtype")[0, 0].tolist() == list(RED)
    assert photo_size(tmp_path / "a.tif") == (4, 6)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
def test_avif_is_read(tmp_path):
    Image.new("RGB", (32, 16), (0, 0, 255)).save(tmp_path / "a.avif")
    photo = read_photo(tmp_path / "a.avif")
    assert photo.shape == (16, 32, 3)
    assert photo[8, 16, 2] > 230


def test_an_official_photo_equals_pillows_rgb(tmp_path):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (40, 60, 3), np.uint8)).save(tmp_path / "a.jpg")
    assert (read_photo(tmp_path / "a.jpg") == np.asarray(Image.open(tmp_path / "a.jpg"))).all()


# --- pages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.gif", "a.tif", "a.png", "a.webp"])
def test_of_several_frames_the_page_must_be_named(tmp_path, name):
    frames = [Image.new("RGB", (4, 3), (value, value, value)) for value in (0, 255)]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], duration=50, lossless=True)
    with pytest.raises(PictureError, match="holds 2 pages or frames; pass page=0 to page=1"):
        read_photo(tmp_path / name)
    assert read_photo(tmp_path / name, page=0).max() == 0
    assert read_photo(tmp_path / name, page=1).min() == 255
    with pytest.raises(PictureError, match=r"has page=0 to page=1 .*, there is no page=2"):
        read_photo(tmp_path / name, page=2)


def test_the_second_page_of_a_deep_tiff_is_its_own(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for value in (0, 65535):
            writer.write(np.full((3, 4, 3), value, np.uint16), photometric="rgb")
    assert read_photo(tmp_path / "a.tif", page=0, range="dtype").max() == 0
    assert read_photo(tmp_path / "a.tif", page=1, range="dtype").min() == 255


def test_a_phones_mpo_file_is_its_first_picture(tmp_path):
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, GREEN)]
    frames[0].save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=frames[1:])
    with Image.open(tmp_path / "a.jpg") as file:
        assert file.n_frames == 2
    assert read_photo(tmp_path / "a.jpg")[8, 8, 0] > 250


def test_reduced_overviews_of_a_tiff_are_no_pages(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(np.full((8, 8), 200, np.uint8))
        writer.write(np.full((4, 4), 100, np.uint8), subfiletype=1)
    assert read_photo(tmp_path / "a.tif").shape == (8, 8, 3)


# --- files that are no picture --------------------------------------------------------------------


def _write(name, data):
    return lambda folder: (folder / name).write_bytes(data)


def _truncated_jpeg(folder):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)).save(folder / "whole.jpg")
    (folder / "x.jpg").write_bytes((folder / "whole.jpg").read_bytes()[:2000])


@pytest.mark.parametrize(
    ("make", "name", "message"),
    [
        (lambda folder: None, "x.jpg", r"there is no picture at '.*x\.jpg'$"),
        (lambda folder: (folder / "x.jpg").mkdir(), "x.jpg", r"'.*x\.jpg' is a folder, not a picture$"),
        (_write("x.jpg", b""), "x.jpg", r"'.*x\.jpg' is empty \(0 bytes\)$"),
        (
            _write("x.jpg", b"hello, this is text"),
            "x.jpg",
            r"not a picture in a known format \(it starts with b'hello, t'\)",
        ),
        (_truncated_jpeg, "x.jpg", r"'.*x\.jpg' cannot be decoded: image file is truncated"),
        (_write("x.tif", b"II*\0\x08\0\0\0\0\0"), "x.tif", r"'.*x\.tif' cannot be decoded"),
        (
            _write("x.heic", b"\0\0\0\x18ftypheic" + b"\0" * 40),
            "x.heic",
            r"is a HEIC picture; run: pip install pillow-heif",
        ),
    ],
    ids=["missing", "folder", "empty", "text", "truncated", "broken tiff", "heic"],
)
def test_files_that_are_no_picture_are_refused(tmp_path, make, name, message):
    make(tmp_path)
    with pytest.raises(PictureError, match=message):
        read_photo(tmp_path / name)


def test_a_web_address_is_refused():
    with pytest.raises(PictureError, match="is a web address; download the picture and pass its path"):
        read_photo("https://example.org/a.jpg")


def test_a_file_without_permission_is_refused(tmp_path, monkeypatch):
    (tmp_path / "x.jpg").write_bytes(b"x")
    monkeypatch.setattr("everymask.media.picture_files.os.access", lambda path, mode: False)
    with pytest.raises(PictureError, match=r"x\.jpg' cannot be read: permission denied$"):
        read_photo(tmp_path / "x.jpg")


def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)  # Pillow refuses above twice this
    Image.new("1", (30, 30)).save(tmp_path / "x.png")
    with pytest.raises(
        PictureError, match=r"x\.png' has more than the 800 pixels that are decoded from one file"
    ):
        read_photo(tmp_path / "x.png")


def test_a_large_honest_picture_comes_without_a_warning(tmp_path, monkeypatch):
    Image.new("L", (30, 20)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)  # Pillow warns above this and refuses above twice
    assert read_photo(tmp_path / "a.png").shape == (20, 30, 3)
