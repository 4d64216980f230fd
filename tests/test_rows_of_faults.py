"""Every fault that users of such tools reported has a row in the tests, and three more of its kind.

A row is a collected test: a case with its exact result or message. Faults are named as they were reported.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

OTHERS = "formats/test_files_of_others.py::"
RASTERS = "media/test_rasters.py::"
WEIGHTS = "models/test_weights.py::"
FAULTS = "test_faults_of_others.py::"
COCO_KEPT = (
    OTHERS + "test_coco_to_coco_keeps_numbers_flags",
    OTHERS + "test_attributes_survive_the_way",
    OTHERS + "test_what_yolo_cannot_hold_is_said",
)
ROWS: dict[str, tuple[str, ...]] = {
    # a fault: how the names of its tests begin (after "[": the case's name)
    "a deep GeoTIFF loses its place": (
        RASTERS + "test_what_pillow_cannot_open",
        RASTERS + "test_a_world_file",
    ),
    "nodata counts as values": (RASTERS + "test_pixels_without_data", RASTERS + "test_a_page_that_is_a_mask"),
    "NaN that stands for nodata is refused": (
        RASTERS + "test_pixels_without_data_do_not_count_and_become_black[percentile-float32-nan",
        RASTERS + "test_pixels_without_data_do_not_count_and_become_black[minmax-float32-nan",
        RASTERS + "test_nan_that_nobody_declared",
        RASTERS + "test_a_scene_without_any_data",
    ),
    "bands one after the other, or of 32 bits": (RASTERS + "test_three_bands_of_any_depth",),
    "five bands and more, and which": (RASTERS + "test_bands_are_chosen", RASTERS + "test_more_bands"),
    "a transform without a system is lost": (
        RASTERS + "test_a_transform_without_a_system",
        RASTERS + "test_masks_keep_a_place_without",
    ),
    "libraries print their own errors": (OTHERS + "test_nothing_is_printed_by_libraries_below",),
    "a picture that is stored turned loses its place": (
        "test_orientation.py::test_masks_of_a_turned_picture",
        "test_orientation.py::test_degrees_of_others",
        "test_orientation.py::test_a_label_map_of_a_turned_picture",
    ),
    "COCO coordinates that are no numbers": (OTHERS + "test_an_outline_that_no_photo_has_is_refused[COCO",),
    "YOLO coordinates that are no numbers": (OTHERS + "test_an_outline_that_no_photo_has_is_refused[YOLO",),
    "LabelMe coordinates that are no numbers": (
        OTHERS + "test_an_outline_that_no_photo_has_is_refused[LabelMe",
    ),
    "CVAT coordinates that are no numbers": (OTHERS + "test_an_outline_that_no_photo_has_is_refused[CVAT",),
    "GeoJSON coordinates that are no numbers": (
        OTHERS + "test_an_outline_that_no_photo_has_is_refused[GeoJSON",
    ),
    "a photo of a huge size": (OTHERS + "test_a_photo_size_that_no_photo_has_is_refused",),
    "class numbers of COCO change": (
        *COCO_KEPT,
        OTHERS + "test_files_that_number_alike",
        OTHERS + "test_two_images_or_classes_of_one_number",
    ),
    "crowd flags go": COCO_KEPT,
    "ids and attributes go": (
        *COCO_KEPT,
        OTHERS + "test_cvat_attributes_are_kept",
        OTHERS + "test_a_labelme_circle",
    ),
    "annotations of images that are not there go": (OTHERS + "test_a_coco_annotation_that_belongs_nowhere",),
    "empty masks go": (OTHERS + "test_a_mask_without_pixels_is_counted",),
    "class numbers of YOLO change": (
        OTHERS + "test_yolo_to_yolo_keeps",
        OTHERS + "test_yolo_class_numbers_without_names",
        OTHERS + "test_what_yolo_cannot_hold",
        "studio/test_class_numbers.py::test_class_numbers_of_a_file",
    ),
    "data.yaml is read by hand": (
        OTHERS + "test_class_names_are_read_as_yaml",
        OTHERS + "test_a_data_yaml_that_names_no_classes",
    ),
    "Label Studio: the first annotation's brushes alone": (OTHERS + "test_label_studio_regions",),
    "Label Studio: a cancelled annotation": (
        OTHERS + "test_label_studio_regions[a cancelled",
        OTHERS + "test_label_studio_regions[two cancelled",
        OTHERS + "test_label_studio_regions[only a cancelled",
    ),
    "Label Studio: photos that were turned": (OTHERS + "test_what_was_drawn_on_a_turned_photo",),
    "Label Studio: photos under other keys": (OTHERS + "test_the_photo_of_a_task_is_found_under_any_key",),
    "Label Studio: JSON-MIN": (OTHERS + "test_label_studio_regions[JSON-MIN",),
    "CVAT for video is an empty run": (OTHERS + "test_a_cvat_video_is_no_empty_run",),
    "CVAT boxes that are turned": (OTHERS + "test_cvat_shapes[<box",),
    "CVAT shapes without coordinates": (
        OTHERS + "test_an_outline_that_no_photo_has_is_refused[CVAT box",
        OTHERS + "test_an_outline_that_no_photo_has_is_refused[CVAT ellipse",
        OTHERS + "test_an_outline_that_no_photo_has_is_refused[CVAT mask",
    ),
    "GeoJSON in degrees": (
        OTHERS + "test_geojson_of_a_map_is_placed",
        OTHERS + "test_geojson_that_lies_nowhere",
    ),
    "class names of QuPath": (OTHERS + "test_class_names_of_qupath",),
    "a name that is no UTF-8": (FAULTS + "test_a_file_name_that_is_no_text",),
    "links that lead round in a circle": (FAULTS + "test_a_folder_that_leads_round",),
    "outputs are taken for photos": (FAULTS + "test_what_a_run_wrote_into_its_input",),
    "a renamed folder doubles its photos": (FAULTS + "test_photos_are_the_same_wherever",),
    "YOLO labels that no trainer finds": (
        "formats/test_yolo_folder.py::test_a_label_is_called_like_its_photo",
    ),
    "names take quadratic time": ("cli/test_inputs.py::test_the_time_that_names_take",),
    "pictures that cannot be encoded": ("test_opencv.py::test_what_cannot_be_encoded",),
    "a mask of 0 and 1 counts as logits": ("test_prompts.py::test_a_mask_of_two_values_is_binary",),
    "masks that could be both": ("test_prompts.py::test_what_could_be_both",),
    "a mask alone gives the rest": (FAULTS + "test_a_perfect_mask_alone",),
    "tensors as prompts": (
        "test_prompts.py::test_tensors_of_any_type_are_prompts",
        "test_prompts.py::test_masks_of_any_layout_are_masks",
    ),
    "no boxes": ("test_prompts.py::test_no_boxes_are_no_prompts",),
    "checkpoints without weights of numbers": (
        WEIGHTS + "test_wrong_files_are_refused[numbers as keys",
        WEIGHTS + "test_wrong_files_are_refused[int8",
        WEIGHTS + "test_wrong_files_are_refused[sparse",
        FAULTS + "test_a_file_without_weights_says_what_it_is",
        FAULTS + "test_weights_that_are_no_floats",
    ),
    "numbers of NumPy in checkpoints": (FAULTS + "test_values_of_numpy_beside_the_weights",),
    "a score that is no number": (OTHERS + "test_a_score_that_is_no_number",),
    "disks that take nothing more": (
        "test_full_disk.py::test_every_writer_says",
        "test_full_disk.py::test_an_error_of_the_system",
        "test_full_disk.py::test_a_run_ends_at_the_photo",
    ),
    "streams that take nothing": (
        "test_full_disk.py::test_work_goes_on",
        "test_full_disk.py::test_a_full_disk_under_stdout",
    ),
    "closed streams": ("cli/test_segment.py::test_closed_streams_are_no_traceback",),
    "prefixes that trainers leave, in .pt": (
        WEIGHTS + "test_what_trainers_put_around_weights_goes",
        FAULTS + "test_weights_are_found_in_whatever",
    ),
    "prefixes that trainers leave, in .safetensors": (WEIGHTS + "test_safetensors_lose_the_same_prefixes",),
    "more than the model": (FAULTS + "test_more_than_the_model_is_named",),
    "weights in the layout of transformers": (
        "models/test_transformers_layout.py::test_a_file_of_transformers_is_recognised",
        "models/test_transformers_layout.py::test_a_converted_folder",
    ),
    "weights that are NaN": (FAULTS + "test_weights_that_are_no_numbers",),
    "advice that does not help": (FAULTS + "test_a_message_names_only_flags",),
    "the limit of pixels cannot be raised in the shell": ("media/test_pixel_limit.py::test_",),
    "LabelMe's paths from Windows": (
        OTHERS + "test_the_photo_of_a_labelme_file_from_windows",
        "cli/test_photo_finder.py::test_a_photo_is_found_by_whatever_path",
    ),
    "--photos does not give the sizes that are missing": (
        "cli/test_photo_finder.py::test_a_file_without_sizes_takes_them",
        "cli/test_photo_finder.py::test_a_labelme_file_speaks_of_the_photo_beside_it",
    ),
    "fork hangs after threads were used": ("test_worker_processes.py::test_",),
    "a scene of gigapixels": (
        "everything/test_tiles.py::test_objects_no_larger_than_the_overlap",
        "everything/test_tiles.py::test_an_object_that_crosses_tiles",
        "everything/test_tiles.py::test_a_stopped_run_goes_on",
        "cli/test_scenes.py::test_a_large_scene_is_never_read_as_a_whole",
    ),
    "stacks as clips": (
        "media/test_stacks.py::test_frames_of_a_stack_are_a_clip",
        "media/test_stacks.py::test_track_follows_a_channel",
        "media/test_stacks.py::test_frames_of_dicom_are_pages",
        "media/test_stacks.py::test_a_frame_is_a_time",
    ),
    "duplicates that boxes let through": (
        "masks/test_nms.py::test_nested_double_that_boxes_let_through",
        "masks/test_nms.py::test_equal_overlap_stays",
        "masks/test_nms.py::test_what_is_suppressed",
        "masks/test_nms.py::test_pixel_suppression",
    ),
}
TESTS = Path(__file__).parent


@pytest.fixture(scope="module")
def collected() -> list[str]:
    """The ids of all tests in the files that are named."""
    files = sorted({begins.partition("::")[0] for rows in ROWS.values() for begins in rows})
    words = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-o", "addopts=--import-mode=importlib"]
    told = subprocess.run(
        [*words, "-p", "no:cacheprovider", *(str(TESTS / name) for name in files)],
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    return [line.removeprefix("tests/") for line in told.stdout.splitlines() if "::" in line]


@pytest.mark.parametrize("fault", ROWS)
def test_each_fault_has_four_rows(collected, fault):
    for begins in ROWS[fault]:
        assert any(each.startswith(begins) for each in collected), f"no test is called {begins}"
    rows = {each for each in collected if each.startswith(ROWS[fault])}
    assert len(rows) >= 4
