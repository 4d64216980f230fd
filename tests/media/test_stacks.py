"""Hyperstacks and DICOM: frames are times and depths, channels are chosen, values are what they mean."""

import contextlib

import numpy as np
import pytest

from everymask.cli import main as cli
from everymask.errors import MissingExtraError, OptionError, PictureError, VideoError
from everymask.media.photos import photo_size, read_photo
from everymask.media.picture_files import count_pages
from everymask.media.stacks import is_stack
from everymask.media.videos import open_frames
from everymask.tiff_tags import read_description

tifffile = pytest.importorskip("tifffile")
T, Z, C, H, W = 2, 3, 2, 5, 7


def values(shape, kind=np.uint16):
    """Every plane has values of its own, a pixel apart from its neighbour."""
    planes = int(np.prod(shape[:-2]))
    plane = np.arange(H * W).reshape(H, W)
    return np.stack([plane + 100 * number for number in range(planes)]).reshape(shape).astype(kind)


def imagej(path, data, axes, **more):
    tifffile.imwrite(path, data, imagej=True, metadata={"axes": axes}, **more)
    return path


def ome(path, data, axes, **more):
    tifffile.imwrite(path, data, ome=True, metadata={"axes": axes}, **more)
    return path


CASES = {
    "ImageJ": (imagej, "TZCYX", {}),
    "ImageJ packed": (imagej, "TZCYX", {"compression": "zlib"}),
    "OME": (ome, "TZCYX", {}),
    "OME channels first": (ome, "CTZYX", {}),
    "OME depth last, tiles": (ome, "TCZYX", {"tile": (16, 16)}),
    "OME big-endian": (ome, "TZCYX", {"byteorder": ">"}),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_frame_is_a_time_and_a_depth_and_bands_are_channels(tmp_path, case):
    write, axes, more = CASES[case]
    lengths = {"T": T, "Z": Z, "C": C, "Y": H, "X": W}
    data = values(tuple(lengths[axis] for axis in axes))
    path = write(tmp_path / "a.tif", data, axes, **more)
    assert is_stack(path)
    assert (photo_size(path), count_pages(path)) == ((H, W), T * Z)
    by_frame = np.moveaxis(data, [axes.index(axis) for axis in "TZC"], [0, 1, 2]).reshape(T * Z, C, H, W)
    for frame in (0, 1, Z, T * Z - 1):
        for channel in range(C):
            photo = read_photo(path, page=frame, bands=[channel + 1], range=(0, 1200))
            expected = np.round(by_frame[frame, channel] * (255.0 / 1200))
            assert np.abs(photo[..., 0] - expected).max() <= 1, (frame, channel)


def test_what_a_stack_leaves_open_is_asked(tmp_path):
    path = imagej(tmp_path / "a.tif", values((T, C, H, W)), "TCYX")
    with pytest.raises(PictureError, match=r"holds 2 pages or frames; pass page=0 to page=1"):
        read_photo(path)
    with pytest.raises(PictureError, match=r"has 2 channels; say which .* bands=\(1,\), or --bands 1"):
        read_photo(path, page=0)
    with pytest.raises(OptionError, match="has 2 channels, there is no 3"):
        read_photo(path, page=0, bands=[3])
    with pytest.raises(PictureError, match="there is no page=2"):
        read_photo(path, page=2, bands=[1])


def test_three_channels_are_a_colour_picture(tmp_path):
    data = values((3, H, W), np.uint8) % 251
    path = imagej(tmp_path / "a.tif", data, "CYX")
    assert np.array_equal(read_photo(path), data.transpose(1, 2, 0))
    assert np.array_equal(read_photo(path, bands=[3, 2, 1]), data[::-1].transpose(1, 2, 0))


def test_plain_stacks_and_pictures_are_read_as_before(tmp_path):
    data = values((4, H, W), np.uint8) % 251
    tifffile.imwrite(tmp_path / "plain.tif", data, photometric="minisblack")
    assert not is_stack(tmp_path / "plain.tif")
    assert count_pages(tmp_path / "plain.tif") == 4
    imagej(tmp_path / "one.tif", data[0], "YX")
    assert not is_stack(tmp_path / "one.tif")
    assert np.array_equal(read_photo(tmp_path / "one.tif")[..., 0], data[0])


def test_frames_of_a_stack_are_a_clip(tmp_path):
    data = values((T * Z, C, H, W))
    path = imagej(tmp_path / "a.tif", data, "TCYX")
    with open_frames(path, bands=[2], range=(0, 1200)) as clip:
        assert clip.length == T * Z
        for number in range(clip.length):
            assert np.abs(clip.frame(number)[..., 0] - np.round(data[number, 1] * (255.0 / 1200))).max() <= 1
    with (
        pytest.raises(VideoError, match=r"frame 1 .*of .* has 2 channels; say which"),
        open_frames(path) as clip,
    ):
        clip.frame(0)


def test_track_follows_a_channel_of_a_stack(tmp_path, capsys):
    data = np.full((4, 2, 64, 96), 300, np.uint16)
    for frame in range(4):
        data[frame, 1, 20:40, 10 + 6 * frame : 34 + 6 * frame] = 3000
    path = imagej(tmp_path / "a.tif", data, "TCYX")
    words = ["track", str(path), "-p", "1:22,30", "-f", "sa-v", "-o", str(tmp_path / "out")]
    assert cli.run(words) == 1
    assert "has 2 channels; say which one or three make the picture: bands=(1,), or --bands 1" in (
        capsys.readouterr().err
    )
    assert cli.run([*words, "--bands", "2", "--range", "0,4095"]) == 0


def test_times_and_depths_in_one_clip_are_said(tmp_path):
    path = imagej(tmp_path / "a.tif", values((T, Z, H, W)), "TZYX")
    told = rf"a.tif has {T} times and {Z} depths, which are taken as one clip of {T * Z} frames"
    with pytest.warns(UserWarning, match=told), open_frames(path) as clip:
        assert clip.length == T * Z
    for axes in ("TYX", "ZYX"):
        with open_frames(imagej(tmp_path / "b.tif", values((T, H, W)), axes)) as clip:
            assert clip.length == T


def test_a_stack_without_the_package_says_how_to_get_it(tmp_path, monkeypatch):
    import sys

    path = imagej(tmp_path / "a.tif", values((T, C, H, W)), "TCYX")
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'everymask\[stacks\]'"):
        read_photo(path, page=0)


def test_what_tifffile_logs_of_a_damaged_stack_is_not_printed(tmp_path, caplog, capfd):
    path = ome(tmp_path / "a.tif", values((T, C, H, W)), "TCYX")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"</Pixels>", b"</Pixelz>"))
    with contextlib.suppress(PictureError):
        read_photo(path, page=0, bands=[1])
    assert (caplog.records, capfd.readouterr().err) == ([], "")


@pytest.mark.parametrize("damage", [b"", b"<OME", b"ImageJ=1.11a\nchannels=2\n"])
def test_descriptions_that_promise_more_than_there_is(tmp_path, damage):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, values((1, H, W), np.uint8)[0], description=damage.decode(), metadata=None)
    with path.open("rb") as file:
        assert read_description(file) == damage.decode().rstrip("\0") or len(damage) < 5
    assert read_photo(path, bands=[1] if is_stack(path) else None).shape == (H, W, 3)


# --- DICOM


def dicom(path, pixels, **more):
    pydicom = pytest.importorskip("pydicom")
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = (
        SecondaryCaptureImageStorage,
        generate_uid(),
    )
    data = pydicom.Dataset()
    data.file_meta = meta
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.Rows, data.Columns = pixels.shape[-2:]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, int(pixels.dtype.kind == "i")
    if pixels.ndim == 3:
        data.NumberOfFrames = len(pixels)
    for name, value in more.items():
        setattr(data, name, value)
    data.PixelData = pixels.tobytes()
    data.save_as(path, enforce_file_format=True)
    return path


def test_a_slice_is_rescaled_and_read_at_its_depth(tmp_path):
    pixels = values((1, H, W), np.int16)[0]
    path = dicom(tmp_path / "slice.dcm", pixels, RescaleSlope=2, RescaleIntercept=-1000)
    assert photo_size(path) == (H, W)
    photo = read_photo(path, range=(-1000, -1000 + 2 * 34))
    assert np.abs(photo[..., 0] - np.round(pixels * 255 / 34)).max() <= 1


def test_dark_and_bright_are_as_one_sees_them(tmp_path):
    pixels = values((1, H, W), np.uint16)[0]
    path = dicom(tmp_path / "slice.dcm", pixels, PhotometricInterpretation="MONOCHROME1")
    photo = read_photo(path, range="minmax")[..., 0]
    assert (photo[0, 0], photo[-1, -1]) == (255, 0)


def test_frames_of_dicom_are_pages_and_a_folder_of_slices_a_clip(tmp_path):
    pixels = values((3, H, W), np.uint16)
    path = dicom(tmp_path / "many.dcm", pixels)
    assert count_pages(path) == 3
    with pytest.raises(PictureError, match=r"holds 3 pages or frames; pass page=0 to page=2"):
        read_photo(path)
    assert read_photo(path, page=2, range=(0, 255))[0, 0, 0] == 200
    (tmp_path / "slices").mkdir()
    for number in range(3):
        dicom(tmp_path / f"slices/{number}.dcm", pixels[number])
    with open_frames(tmp_path / "slices", range=(0, 255)) as clip:
        assert [int(clip.frame(number)[0, 0, 0]) for number in range(clip.length)] == [0, 100, 200]


def test_dicom_that_is_damaged_or_no_picture_is_refused_in_one_line(tmp_path):
    path = dicom(tmp_path / "a.dcm", values((1, H, W), np.uint16)[0])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(PictureError, match=r"'.*a.dcm' cannot be decoded: [^\n]*$"):
        read_photo(path)
    (tmp_path / "b.dcm").write_bytes(bytes(128) + b"DICM")
    with pytest.raises(PictureError, match=r"is a DICOM file without a picture|cannot be decoded"):
        read_photo(tmp_path / "b.dcm")
