"""A picture that is stored turned comes upright, and what is said of its stored pixels is turned with it."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import rasterio
import tifffile
from PIL import Image

from everymask.cli.main import run
from everymask.formats import read_masks, read_photos, save
from everymask.formats.georeference import read_georeference
from everymask.maskset import Mask, MaskSet
from everymask.media.photos import photo_size, read_photo, read_pixels
from everymask.media.scenes import open_scene
from everymask.orientation import read_orientation, stored_box, turned, upright_affine, upright_hw

ORIENTATIONS = range(1, 9)
HEIGHT, WIDTH = 12, 20  # as stored
ROWS, COLUMNS = slice(2, 5), slice(7, 15)  # of a bright field there
STORED = np.full((HEIGHT, WIDTH, 3), 20, np.uint8)
STORED[ROWS, COLUMNS] = 200
STORED[1, 2:4] = 90
LEFT, TOP, STEP = 500, 800, 10  # of the map, in whole numbers
WORLD = f"{STEP}\n0\n0\n{-STEP}\n{LEFT + STEP / 2}\n{TOP - STEP / 2}\n"
CORNERS = {
    (LEFT + STEP * x, TOP - STEP * y) for x in (COLUMNS.start, COLUMNS.stop) for y in (ROWS.start, ROWS.stop)
}
GEO_TAGS = [(33550, "d", 3, (STEP, STEP, 0), True), (33922, "d", 6, (0, 0, 0, LEFT, TOP, 0), True)]
NODATA = [(42113, "s", 4, "255", True)]


def as_tiff(values, *tags, planar=False):
    def save(path, orientation):
        kind = {"planarconfig": "separate"} if planar else {}
        picture = values.transpose(2, 0, 1) if planar else values
        how = {"photometric": "rgb" if values.ndim == 3 else "minisblack", "metadata": None, **kind}
        tifffile.imwrite(path, picture, extratags=[(274, "H", 1, orientation, True), *tags], **how)

    return save


def by_pillow(path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    how = {"quality": 100, "subsampling": 0} if path.suffix == ".jpg" else {"lossless": True}
    Image.fromarray(STORED).save(path, exif=exif, **how)


def with_world_file(path, orientation):
    by_pillow(path, orientation)
    path.with_suffix(f".{path.suffix[1]}{path.suffix[-1]}w").write_text(WORLD)


def with_description(path, orientation):
    by_pillow(path, orientation)
    numbers = f"{LEFT}, {STEP}, 0, {TOP}, 0, {-STEP}"
    path.with_name(f"{path.name}.aux.xml").write_text(
        f"<PAMDataset><GeoTransform>{numbers}</GeoTransform></PAMDataset>"
    )


def with_control_points(path, orientation):
    """A TIFF whose transform is given by three ground control points."""
    points = [(0, 0), (WIDTH, 0), (0, HEIGHT)]
    numbers = [n for x, y in points for n in (x, y, 0, LEFT + STEP * x, TOP - STEP * y, 0)]
    as_tiff(STORED, (33922, "d", len(numbers), tuple(numbers), True))(path, orientation)


DEEP = STORED.astype(np.uint16) * 200
PLACED = {
    "jpg and world file": ("a.jpg", with_world_file),
    "png and world file": ("a.png", with_world_file),
    "webp and description": ("a.webp", with_description),
    "tif and world file": (
        "a.tif",
        lambda path, o: (as_tiff(STORED)(path, o), path.with_suffix(".tfw").write_text(WORLD)),
    ),
    "GeoTIFF": ("a.tif", as_tiff(STORED, *GEO_TAGS)),
    "GeoTIFF of 16 bits": ("a.tif", as_tiff(DEEP, *GEO_TAGS)),
    "GeoTIFF of 16 bits, band by band": ("a.tif", as_tiff(DEEP, *GEO_TAGS, planar=True)),
    "GeoTIFF of one band of 16 bits": ("a.tif", as_tiff(DEEP[..., 0], *GEO_TAGS)),
    "GeoTIFF of floats": ("a.tif", as_tiff(STORED.astype(np.float32), *GEO_TAGS)),
    "GeoTIFF of one band of doubles": ("a.tif", as_tiff(STORED[..., 0].astype(np.float64), *GEO_TAGS)),
    "GeoTIFF with nodata": ("a.tif", as_tiff(STORED, *GEO_TAGS, *NODATA)),
    "GeoTIFF of signed numbers": ("a.tif", as_tiff(STORED.astype(np.int16), *GEO_TAGS)),
    "ground control points": ("a.tif", with_control_points),
}


@pytest.fixture(params=PLACED)
def placed(request, tmp_path):
    """Saves the bright field in a kind of file, stored as an orientation says, in a folder of its own."""
    name, save = PLACED[request.param]
    (tmp_path / "in").mkdir()

    def saved(orientation):
        save(tmp_path / "in" / name, orientation)
        return tmp_path / "in" / name

    return saved


def field_of(values):
    return values[..., 0] > 128


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_masks_of_a_turned_picture_lie_where_its_stored_pixels_lie(placed, tmp_path, orientation):
    path = placed(orientation)
    photo = read_photo(path)
    assert photo.shape[:2] == photo_size(path) == upright_hw((HEIGHT, WIDTH), orientation)
    seen = turned(STORED[..., 0] > 128, orientation)
    assert np.array_equal(field_of(photo), seen)
    masks = MaskSet([Mask.from_segmentation(field_of(photo))])
    save(masks, tmp_path / "a.geojson", photo=path.name, georeference=read_georeference(path))
    written = json.loads((tmp_path / "a.geojson").read_text("utf-8"))
    (ring,) = written["features"][0]["geometry"]["coordinates"]
    assert {tuple(point) for point in ring} == CORNERS
    assert len(ring) == 5
    twice_the_area = sum(x * v - u * y for (x, y), (u, v) in itertools.pairwise(ring))
    assert twice_the_area > 0  # outer rings are counterclockwise on the map (RFC 7946), also where it mirrors
    assert np.array_equal(read_masks(tmp_path / "a.geojson")[0].segmentation, seen)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("kind", ["jpg", "tif"])
def test_degrees_of_others_find_the_pixels_of_a_turned_picture(tmp_path, monkeypatch, orientation, kind):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / f"a.{kind}"
    if kind == "jpg":
        by_pillow(path, orientation)
        (tmp_path / "in" / "a.jgw").write_text("0.5\n0\n0\n-0.5\n9.25\n47.75\n")
        description = f"<PAMDataset><SRS>{rasterio.crs.CRS.from_epsg(4326).to_wkt()}</SRS></PAMDataset>"
        (tmp_path / "in" / "a.jpg.aux.xml").write_text(description.replace('"', "&quot;"))
    else:
        keys = (1, 1, 0, 3, 1024, 0, 1, 2, 1025, 0, 1, 1, 2048, 0, 1, 4326)  # GeoKeyDirectory: WGS84
        tags = [(33550, "d", 3, (0.5, 0.5, 0), True), (33922, "d", 6, (0, 0, 0, 9, 48, 0), True)]
        as_tiff(STORED, *tags, (34735, "H", 16, keys, True))(path, orientation)
    x0, x1, y0, y1 = (
        *(9 + side / 2 for side in (COLUMNS.start, COLUMNS.stop)),
        *(48 - side / 2 for side in (ROWS.start, ROWS.stop)),
    )
    ring = [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]
    feature = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    (tmp_path / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    assert run(["convert", "a.geojson", "-f", "labelmap", "-o", "out", "--photos", "in"]) == 0
    (made,) = (tmp_path / "out").rglob("*.png")
    assert np.array_equal(np.asarray(Image.open(made)) == 1, turned(STORED[..., 0] > 128, orientation))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_windows_of_a_turned_raster_are_those_of_the_whole(tmp_path, orientation):
    noise = np.random.default_rng(0).integers(0, 250, (31, 47, 3)).astype(np.uint8)
    noise[:4] = 255
    as_tiff(noise, *GEO_TAGS, *NODATA)(tmp_path / "a.tif", orientation)
    whole, scene = read_pixels(tmp_path / "a.tif"), open_scene(tmp_path / "a.tif")
    assert scene.hw == whole.values.shape[:2]
    for x0, y0, x1, y1 in ((0, 0, scene.hw[1], scene.hw[0]), (3, 1, 20, 9), (20, 25, 31, 30)):
        part = scene.read((x0, y0, x1, y1))
        assert np.array_equal(part.values, whole.values[y0:y1, x0:x1])
        valid = whole.valid[y0:y1, x0:x1]
        assert part.valid is None if valid.all() else np.array_equal(part.valid, valid)
    small = scene.overview(16)
    scene.close()
    assert small.values.shape[:2] == ((11, 16) if scene.hw == (31, 47) else (16, 11))
    assert small.valid.mean() == pytest.approx(27 / 31, abs=0.05)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_page_is_turned_by_its_own_orientation(tmp_path, orientation):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for number, value in enumerate((1, orientation)):
            page = np.where(STORED == 200, 200 - number, STORED).astype(np.uint8)
            file.write(page, photometric="rgb", metadata=None, extratags=[(274, "H", 1, value, True)])
    assert read_orientation(tmp_path / "a.tif", 1) == orientation
    assert read_photo(tmp_path / "a.tif", page=0).shape == (HEIGHT, WIDTH, 3)
    assert np.array_equal(
        read_photo(tmp_path / "a.tif", page=1)[..., 0] == 199, turned(field_of(STORED), orientation)
    )


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_label_map_of_others_that_is_stored_turned(tmp_path, orientation):
    labels = (STORED[..., 0] > 128).astype(np.uint16)
    as_tiff(labels, *GEO_TAGS)(tmp_path / "a.tif", orientation)
    (photo,) = read_photos(tmp_path / "a.tif", "labelmap")
    assert np.array_equal(photo.masks[0].segmentation, turned(labels, orientation) == 1)
    rows, columns = photo.masks[0].extent
    corners = [(x, y) for x in (columns.start, columns.stop) for y in (rows.start, rows.stop)]
    assert {tuple(point) for point in photo.georeference.to_crs(corners).tolist()} == CORNERS


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_label_map_of_a_turned_picture_lies_where_its_stored_pixels_lie(tmp_path, orientation):
    as_tiff(STORED, *GEO_TAGS)(tmp_path / "a.tif", orientation)
    masks = MaskSet([Mask.from_segmentation(field_of(read_photo(tmp_path / "a.tif")))])
    place = read_georeference(tmp_path / "a.tif")
    save(masks, tmp_path / "labels.tif", "labelmap-tiff", georeference=place)
    with rasterio.open(tmp_path / "labels.tif") as made, rasterio.open(tmp_path / "a.tif") as stored:
        for y, x in np.argwhere(made.read(1) == 1).tolist():
            row, column = stored.index(*made.xy(y, x))
            assert STORED[row, column, 0] == 200
        assert (made.read(1) == 1).sum() == (STORED[..., 0] == 200).sum()


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_boxes_and_maps_agree_with_pixels(orientation):
    numbers = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    seen = turned(numbers, orientation)
    assert seen.shape == upright_hw(numbers.shape, orientation)
    x0, y0, x1, y1 = stored_box((1, 2, 6, 9), orientation, seen.shape)
    assert np.array_equal(turned(numbers[y0:y1, x0:x1], orientation), seen[2:9, 1:6])
    a, b, c, d, e, f = upright_affine((1, 0, 0, 0, 1, 0), orientation, numbers.shape)
    for v, u in np.ndindex(seen.shape):
        x, y = a * (u + 0.5) + b * (v + 0.5) + c, d * (u + 0.5) + e * (v + 0.5) + f
        assert numbers[int(y), int(x)] == seen[v, u]


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_there_is_none_of_turns_nothing(tmp_path, value):
    as_tiff(STORED, *GEO_TAGS)(tmp_path / "a.tif", value)
    assert read_orientation(tmp_path / "a.tif") == 1
    assert np.array_equal(read_photo(tmp_path / "a.tif"), STORED)
