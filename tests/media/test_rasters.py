"""Rasters of any depth, bands and nodata become the picture that one sees, at their place on the map."""

import contextlib
import json

import numpy as np
import pytest
from PIL import Image

from everymask.cli import main as cli
from everymask.errors import OptionError, PictureError
from everymask.formats.georeference import has_georeference, read_georeference
from everymask.media.photos import photo_size, read_photo, read_pixels
from everymask.media.picture_files import count_pages
from everymask.tiff_tags import read_tags

rasterio = pytest.importorskip("rasterio")
TRANSFORM = rasterio.Affine(10, 0, 500000, 0, -10, 5400000)
UTM = "EPSG:32632"


def write(path, bands, crs=UTM, transform=TRANSFORM, **profile):
    """A GeoTIFF of bands [C, H, W], as rasterio writes it by default."""
    bands = np.asarray(bands)
    count, height, width = bands.shape
    size = {"count": count, "height": height, "width": width, "dtype": bands.dtype.name}
    with rasterio.open(path, "w", driver="GTiff", crs=crs, transform=transform, **size, **profile) as file:
        file.write(bands)
    return path


def ramp(kind, count=3, low=0, high=100):
    """Bands [C, 4, 5] from low to high, each band ten more than the one before."""
    values = np.linspace(low, high, 20).reshape(4, 5)
    return np.stack([values + 10 * band for band in range(count)]).astype(kind)


@pytest.mark.parametrize("kind", ["uint8", "uint16", "int16", "uint32", "int32", "float32", "float64"])
@pytest.mark.parametrize(
    "layout",
    [{"interleave": "band"}, {"interleave": "pixel"}, {"tiled": True, "blockxsize": 16, "blockysize": 16}],
)
def test_three_bands_of_any_depth_and_layout(tmp_path, kind, layout):
    path = write(tmp_path / "a.tif", ramp(kind), **layout)
    photo = read_photo(path, range="minmax")
    expected = ramp(kind).transpose(1, 2, 0).astype(float)
    if kind != "uint8":
        expected = (expected - expected.min()) * 255 / (expected.max() - expected.min())
    assert np.abs(photo - expected).max() <= 1
    assert photo_size(path) == (4, 5)
    assert read_georeference(path).affine == tuple(TRANSFORM)[:6]


@pytest.mark.parametrize("count", [1, 3, 4, 5, 12])
def test_bands_are_chosen_by_number(tmp_path, count):
    path = write(tmp_path / "a.tif", ramp("uint8", count))
    assert (
        read_photo(path, bands=[count]).tolist()
        == np.repeat(ramp("uint8", count)[count - 1, ..., None], 3, 2).tolist()
    )
    if count >= 4:
        assert np.array_equal(
            read_photo(path, bands=(4, 3, 2)), ramp("uint8", count)[[3, 2, 1]].transpose(1, 2, 0)
        )


def test_more_bands_than_a_picture_has_are_a_question(tmp_path):
    path = write(tmp_path / "a.tif", ramp("uint16", 7))
    with pytest.raises(
        PictureError, match=r"has 7 bands; say which three make the picture: bands=\(3, 2, 1\)"
    ):
        read_photo(path)
    with pytest.raises(PictureError, match=r"has 2 bands; say which is the picture: bands=\(1,\)"):
        read_photo(write(tmp_path / "b.tif", ramp("uint16", 2)))
    with pytest.raises(OptionError, match="has 7 bands, there is no band 8"):
        read_photo(path, bands=(8, 2, 1))


@pytest.mark.parametrize("bands", [(1, 2), (0, 1, 2), (1.5, 2, 3), (), (True, 2, 3), (-1,)])
def test_bands_that_are_none_are_refused(tmp_path, bands):
    with pytest.raises(OptionError, match="bands must be one or three numbers from 1, such as"):
        read_photo(write(tmp_path / "a.tif", ramp("uint8", 4)), bands=bands)
    with pytest.raises(OptionError, match=r"bands must be|bands= is for files"):
        read_photo(np.zeros((4, 5, 3), np.uint8), bands=bands)


@pytest.mark.parametrize(
    ("kind", "nodata"),
    [
        ("uint16", 65535),
        ("uint16", 0),
        ("int16", -32768),
        ("float32", -9999.0),
        ("float32", float("nan")),
        ("float64", 1e30),
    ],
)
@pytest.mark.parametrize("rule", ["percentile", "minmax"])
def test_pixels_without_data_do_not_count_and_become_black(tmp_path, kind, nodata, rule):
    bands = ramp(kind, low=1000, high=1100)
    bands[:, 0] = nodata
    photo = read_photo(write(tmp_path / "a.tif", bands, nodata=nodata), range=rule)
    assert photo[0].max() == 0
    known = bands[:, 1:].transpose(1, 2, 0).astype(float)
    expected = (known - known.min()) * 255 / (known.max() - known.min())
    assert np.abs(photo[1:] - expected).max() <= 1


def test_nan_that_nobody_declared_is_no_data_either(tmp_path):
    bands = ramp("float32")
    bands[0, 0, 0] = np.nan
    assert read_photo(write(tmp_path / "a.tif", bands))[0, 0].tolist() == [0, 0, 0]


def test_a_scene_without_any_data_is_no_photo(tmp_path):
    path = write(tmp_path / "a.tif", np.full((3, 4, 5), 7, "uint16"), nodata=7)
    with pytest.raises(PictureError, match="a photo must have pixels with data, all of them are without"):
        read_photo(path)


def test_a_palette_and_complex_numbers(tmp_path):
    path = tmp_path / "a.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=1, width=2, dtype="uint8", nodata=9, transform=TRANSFORM
    ) as file:
        file.write(np.array([[[1, 2]]], "uint8"))
        file.write_colormap(1, {1: (255, 0, 0), 2: (0, 0, 255)})
    assert read_photo(path).tolist() == [[[255, 0, 0], [0, 0, 255]]]
    with pytest.raises(PictureError, match=r"holds complex numbers; write their amplitude"):
        read_photo(write(tmp_path / "b.tif", np.ones((1, 4, 5), "complex64")))


def test_a_transform_without_a_system_keeps_its_place(tmp_path):
    path = write(tmp_path / "a.tif", ramp("uint16"), crs=None)
    place = read_georeference(path)
    assert (place.affine, place.crs_wkt) == (tuple(TRANSFORM)[:6], "")


@pytest.mark.parametrize("name", ["geojson", "geopackage", "labelmap-tiff"])
def test_masks_keep_a_place_without_a_system(tmp_path, name):
    from everymask import formats
    from everymask.maskset import Mask, MaskSet

    place = read_georeference(write(tmp_path / "a.tif", ramp("uint16"), crs=None))
    masks = MaskSet([Mask.from_segmentation(np.eye(4, 5))])
    path = tmp_path / f"out{formats.FORMATS[name].suffix}"
    masks.save(path, format=name, georeference=place)
    (back,) = formats.read_photos(path)
    assert np.array_equal(back.masks[0].segmentation, masks[0].segmentation)
    assert back.georeference == place
    if name == "geojson":
        corner = json.loads(path.read_text())["features"][0]["geometry"]["coordinates"][0][0][0]
        assert corner == [500010.0, 5399990.0] or corner[0] >= 500000


@pytest.mark.parametrize("kind", ["uint16", "int16", "float32"])
def test_what_pillow_cannot_open_has_its_place_all_the_same(tmp_path, kind):
    path = write(tmp_path / "a.tif", ramp(kind))
    with pytest.raises(Image.UnidentifiedImageError):
        Image.open(path)
    assert has_georeference(path)


@pytest.mark.parametrize(("order", "big"), [("II", False), ("MM", False), ("II", True), ("MM", True)])
def test_tags_are_read_in_either_order_and_size(tmp_path, order, big):
    write(
        tmp_path / "a.tif",
        ramp("uint16"),
        ENDIANNESS="LITTLE" if order == "II" else "BIG",
        BIGTIFF="YES" if big else "NO",
        nodata=3,
    )
    with (tmp_path / "a.tif").open("rb") as file:
        tags = read_tags(file)
    assert (tags[256], tags[257], tags[277]) == (5, 4, 3)
    assert {33550, 42113} <= tags.keys()


@pytest.mark.parametrize(
    "content", [b"", b"II*\0", b"II*\0\xff\xff\xff\xff" + bytes(20), b"MM\0*" + bytes(3), b"JPEG" * 8]
)
def test_no_tiff_has_no_tags(tmp_path, content):
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    with path.open("rb") as file:
        assert read_tags(file) == {}
    assert not has_georeference(path)


# --- what files of others say of pixels without data, and of their place


def half(shape=(4, 5)):
    """Where there is data: the lower rows."""
    valid = np.ones(shape, bool)
    valid[: shape[0] // 2] = False
    return valid


MASKED = {
    "deflate": {"compress": "deflate"},
    "JPEG of YCbCr, tiled": {
        **{"compress": "jpeg", "photometric": "ycbcr", "interleave": "pixel", "tiled": True},
        **{"blockxsize": 16, "blockysize": 16},
    },
    "BigTIFF, big-endian": {"BIGTIFF": "YES", "ENDIANNESS": "BIG"},
    "bands one after the other": {"interleave": "band"},
}


@pytest.mark.parametrize("overviews", [(), (2, 4)])
@pytest.mark.parametrize("case", MASKED)
def test_a_page_that_is_a_mask_is_where_there_is_no_data(tmp_path, case, overviews):
    """As cloud-optimised GeoTIFFs keep it: Pillow takes it for another picture, or cannot open the file."""
    path, shape = tmp_path / "a.tif", (64, 48)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        write(path, np.full((3, *shape), 90, np.uint8), **MASKED[case])
        with rasterio.open(path, "r+") as file:
            file.write_mask(half(shape))
            file.build_overviews(overviews)
    photo = read_pixels(path)
    assert np.array_equal(photo.valid, half(shape))
    assert (photo.values[32:] == 90).all()
    assert (photo_size(path), count_pages(path)) == (shape, 1)


@pytest.mark.parametrize(("count", "on_a_map"), [(4, True), (2, True), (4, False), (2, False)])
def test_alpha_of_a_map_says_where_there_is_data_and_of_a_picture_it_does_not(tmp_path, count, on_a_map):
    bands = np.full((count, 4, 5), 200, np.uint8)
    bands[-1] = half() * 255
    path = tmp_path / "a.tif"
    if on_a_map:
        write(path, bands, alpha="yes", photometric="rgb" if count == 4 else "minisblack")
    else:
        Image.fromarray(bands.transpose(1, 2, 0), "RGBA" if count == 4 else "LA").save(path)
    photo = read_pixels(path)
    if on_a_map:
        assert np.array_equal(photo.valid, half())
    else:
        assert photo.valid is None
    assert (photo.values[2:] == 200).all()


def test_pages_are_a_question_also_for_rasters(tmp_path):
    bands = ramp("uint16")
    tifffile = pytest.importorskip("tifffile")
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for more in range(3):
            file.write(bands + more, photometric="rgb", planarconfig="separate", metadata=None)
    with pytest.raises(PictureError, match=r"holds 3 pages or frames; pass page=0 to page=2 \(--page 1 to"):
        read_photo(tmp_path / "a.tif")
    assert count_pages(tmp_path / "a.tif") == 3
    lowest = [int(read_photo(tmp_path / "a.tif", page=n, range=(0, 255)).min()) for n in range(3)]
    assert lowest == [0, 1, 2]


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
def test_a_page_keeps_its_bands_and_its_nodata(tmp_path, kind):
    path, tifffile = tmp_path / "a.tif", pytest.importorskip("tifffile")
    nodata = [(42113, "s", 0, "7", True)]
    with tifffile.TiffWriter(path) as file:
        for number in range(3):
            bands = ramp(kind) + np.asarray(20 * number, kind)
            bands[:, 0] = 7
            file.write(bands, photometric="rgb", planarconfig="separate", metadata=None, extratags=nodata)
    with pytest.raises(PictureError, match="holds 3 pages or frames; pass page=0 to page=2"):
        read_photo(path, bands=(3, 2, 1))
    for number in range(3):
        photo = read_pixels(path, page=number, bands=(3, 2, 1), range=(0, 255))
        assert photo.valid.tolist() == [[False] * 5, *[[True] * 5] * 3]
        assert photo.values[3, 4].tolist() == [120 + 20 * number, 110 + 20 * number, 100 + 20 * number]
    with pytest.raises(PictureError, match="cannot be decoded"):
        read_photo(path, page=7, bands=(3, 2, 1))


def test_without_rasterio_what_it_alone_reads_is_said(tmp_path, monkeypatch):
    from everymask.media import picture_files

    path = write(tmp_path / "a.tif", np.full((3, 4, 5), 9, np.uint8), interleave="pixel", nodata=0)
    monkeypatch.setattr(picture_files, "has_rasterio", lambda: False)
    with pytest.warns(UserWarning, match=r"of a.tif, pixels without data .*pip install 'everymask\[geo\]'"):
        assert read_pixels(path).valid is None


WORLD = "10\n0\n0\n-10\n500005\n5399995\n"  # of the first pixel's middle


@pytest.mark.parametrize(
    ("name", "beside"),
    [("a.png", "a.pgw"), ("a.jpg", "a.jgw"), ("a.jpg", "a.jpgw"), ("a.tif", "a.tfw"), ("a.png", "a.wld")],
)
def test_a_world_file_beside_a_picture_places_it(tmp_path, name, beside):
    Image.new("RGB", (5, 4), (1, 2, 3)).save(tmp_path / name)
    assert read_georeference(tmp_path / name) is None
    (tmp_path / beside).write_text(WORLD)
    place = read_georeference(tmp_path / name)
    assert (place.affine, place.crs_wkt) == (tuple(TRANSFORM)[:6], "")


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_jpeg_2000_of_a_satellite_keeps_place_and_depth(tmp_path):
    bands = ramp("uint16", low=1000, high=1100)
    profile = {"driver": "JP2OpenJPEG", "width": 64, "height": 64, "count": 3, "dtype": "uint16"}
    bands = np.tile(bands, (1, 16, 13))[:, :64, :64]
    with rasterio.open(
        tmp_path / "a.jp2", "w", **profile, crs=UTM, transform=TRANSFORM, QUALITY="100", REVERSIBLE="YES"
    ) as file:
        file.write(bands)
    photo = read_photo(tmp_path / "a.jp2", range="minmax")
    expected = (bands - 1000.0).transpose(1, 2, 0) * 255 / 120
    assert np.abs(photo - expected).max() <= 1
    assert read_georeference(tmp_path / "a.jp2").affine == tuple(TRANSFORM)[:6]
    with rasterio.open(tmp_path / "b.jp2", "w", **profile, QUALITY="100", REVERSIBLE="YES") as file:
        file.write(bands)
    assert not has_georeference(tmp_path / "b.jp2")


def test_a_virtual_raster_is_read_like_its_file(tmp_path):
    write(tmp_path / "a.tif", ramp("uint8"))
    (tmp_path / "a.vrt").write_text(
        '<VRTDataset rasterXSize="5" rasterYSize="4"><SRS>EPSG:32632</SRS>'
        "<GeoTransform>500000, 10, 0, 5400000, 0, -10</GeoTransform>"
        + "".join(
            f'<VRTRasterBand dataType="Byte" band="{n}"><SimpleSource><SourceFilename relativeToVRT="1">a.tif'
            f"</SourceFilename><SourceBand>{n}</SourceBand></SimpleSource></VRTRasterBand>"
            for n in (1, 2, 3)
        )
        + "</VRTDataset>"
    )
    assert np.array_equal(read_photo(tmp_path / "a.vrt"), read_photo(tmp_path / "a.tif"))
    assert read_georeference(tmp_path / "a.vrt").affine == tuple(TRANSFORM)[:6]


def with_points(path, points):
    control = [rasterio.control.GroundControlPoint(row, col, x, y) for col, row, x, y in points]
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=40, width=50, dtype="uint8", gcps=control, crs=UTM
    ) as file:
        file.write(np.ones((1, 40, 50), np.uint8))
    return path


CORNERS = [(0, 0), (50, 0), (0, 40), (50, 40)]


def on_map(x, y):
    """A pixel's corner by TRANSFORM."""
    return 500000 + 10 * x, 5400000 - 10 * y


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_ground_control_points_on_an_affine_map_are_one(tmp_path):
    points = [(x, y, *on_map(x, y)) for x, y in CORNERS]
    place = read_georeference(with_points(tmp_path / "a.tif", points))
    assert np.allclose(place.affine, tuple(TRANSFORM)[:6], rtol=1e-9, atol=1e-6)
    assert "32632" in place.crs_wkt


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    "bend", [lambda x, y: (x * y / 100, 0), lambda x, y: (0, 30 * (x == y == 0)), lambda x, y: (-10 * x, 0)]
)
def test_ground_control_points_that_no_affine_map_goes_through_are_said(tmp_path, bend):
    points = [(x, y, *np.add(on_map(x, y), bend(x, y)).tolist()) for x, y in CORNERS]
    with pytest.warns(UserWarning, match=r"a.tif lies on the map by ground control points, which are not"):
        assert read_georeference(with_points(tmp_path / "a.tif", points)) is None


def test_damage_is_one_clear_error_and_nothing_is_printed(tmp_path, capfd):
    path = write(tmp_path / "a.tif", ramp("uint16", 12))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(PictureError, match=r"cannot be decoded: .*IReadBlock failed") as told:
        read_photo(path, bands=(1, 2, 3))
    assert "previous exception" not in str(told.value)  # rasterio's own message says no more than that
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")


def damaged_jpeg_2000(path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(path)
    content = bytearray(path.read_bytes())
    for at in range(len(content) // 3, len(content) - 2, 11):
        content[at] ^= 255
    return bytes(content)


def too_many_samples(path):
    Image.new("RGB", (8, 8)).save(path)
    return path.read_bytes().replace(b"\x15\x01\x03\0\x01\0\0\0\x03", b"\x15\x01\x03\0\x01\0\0\0\x82")


@pytest.mark.parametrize("share", [1, 0.9, 0.5])
@pytest.mark.parametrize(("name", "make"), [("a.jp2", damaged_jpeg_2000), ("a.tif", too_many_samples)])
def test_no_decoder_prints_what_it_thinks_of_a_file(tmp_path, capfd, caplog, name, make, share):
    content = make(tmp_path / name)
    (tmp_path / name).write_bytes(content[: int(len(content) * share)])
    with contextlib.suppress(PictureError):
        read_photo(tmp_path / name)
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")
    assert [record for record in caplog.records if not record.name.startswith("rasterio")] == []


def test_bands_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.tif", np.random.default_rng(0).integers(0, 4000, (12, 24, 32)).astype("uint16"))
    words = ["predict", "a.tif", "--point", "10,10", "-f", "geojson"]
    assert cli.run(words) == 2
    assert (
        "has 12 bands; say which three make the picture: bands=(3, 2, 1), or --bands 3,2,1"
        in capsys.readouterr().err
    )
    assert cli.run([*words, "--bands", "4,3"]) == 2
    assert "bands must be one or three numbers from 1" in capsys.readouterr().err
    assert cli.run([*words, "--bands", "4,3,2"]) == 0
    content = json.loads((tmp_path / "out" / "geojson" / "a.geojson").read_text())
    assert content["everymask"]["frame"] == "wgs84"


def test_the_limit_of_decoded_pixels_moves_in_the_shell(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    Image.new("L", (20, 20)).save(tmp_path / "a.png")
    with pytest.raises(
        PictureError, match=r"more than the 100 pixels .*: export EVERYMASK_MAX_PIXELS=PIXELS"
    ):
        read_photo(tmp_path / "a.png")
    monkeypatch.setenv("EVERYMASK_MAX_PIXELS", "400")
    assert read_photo(tmp_path / "a.png").shape == (20, 20, 3)
    assert Image.MAX_IMAGE_PIXELS == 50
