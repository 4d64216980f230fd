"""Programs whose code is fetched from their repositories (``checkouts.txt``): see ``programs.py``."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from tests.clients.models import PHOTO, PICTURE, frames, small_sam, small_sam2, small_video, with_mask
from tests.clients.standins import definitions, module_with, package_without_init


def place() -> Path:
    """The folder of the checkouts, each under its name."""
    return Path(os.environ.get("EVERYMASK_CHECKOUTS") or Path(sys.prefix) / "checkouts")


def _module(path: str) -> Any:
    file = place() / path
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- fine-tuning ----------------------------------------------------------------------------------


def sam_lora(ours: bool) -> dict[str, Tensor]:
    """Its adapters in ``blk.attn.qkv``: the encoder's answer, and their gradients."""
    adapted = _module("sam-lora/sam_lora.py").LoRA_Sam(small_sam(), 2)
    torch.manual_seed(5)
    for layer in (*adapted.w_As, *adapted.w_Bs):
        layer.weight.data = 0.1 * torch.randn(layer.weight.shape)
    answer = adapted.sam.image_encoder(PICTURE)
    answer.square().mean().backward()
    found = {"embedding": answer.detach()}
    for index, (down, up) in enumerate(zip(adapted.w_As, adapted.w_Bs, strict=True)):
        found |= {f"gradient/down {index}": down.weight.grad, f"gradient/up {index}": up.weight.grad}
    return found


def medsam(ours: bool) -> dict[str, Tensor]:
    """Two steps of its training, by its model class, and its inference by its function."""
    known = {"nn": nn, "torch": torch, "F": F, "np": np}
    model_class = definitions(place() / "medsam/train_one_gpu.py", "MedSAM", **known)["MedSAM"]
    infer = definitions(place() / "medsam/MedSAM_Inference.py", "medsam_inference", **known)[
        "medsam_inference"
    ]
    sam = small_sam()
    model = model_class(sam.image_encoder, sam.mask_decoder, sam.prompt_encoder).train()
    trained = [*model.image_encoder.parameters(), *model.mask_decoder.parameters()]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, weight_decay=0.01)
    wanted = torch.zeros(1, 1, 128, 128)
    wanted[:, :, 30:90, 40:100] = 1
    box = np.array([[40, 30, 100, 90]])
    losses = []
    for _ in range(2):  # one photo at a time, which is all that the official decoder takes
        loss = F.binary_cross_entropy_with_logits(model(PICTURE, box), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    model.eval()
    with torch.no_grad():
        embedding = model.image_encoder(PICTURE)
        mask = infer(model, embedding, box, 97, 201)
    gradient = {f"gradient/{name}": x.grad for name, x in model.named_parameters() if x.grad is not None}
    return {"losses": torch.stack(losses), "embedding": embedding, "mask": with_mask(mask)} | {
        name: value for name, value in gradient.items() if value.dim() > 1
    }


# --- words and labels -----------------------------------------------------------------------------


def lang_sam(ours: bool) -> dict[str, Tensor]:
    """Its model class, built by Hydra from the official configuration: SAM 2.1 tiny, as published in size."""
    from everymask.models.load import empty
    from everymask.models.specs import MODELS
    from tests.parity.seeded import seeded_state

    sys.path.insert(0, str(place() / "lang-sam"))
    package_without_init("lang_sam")
    with torch.device("meta"):
        keys = empty(MODELS["sam2.1_hiera_tiny"]).state_dict()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "seeded.pt")
        torch.save({"model": seeded_state({key: value.shape for key, value in keys.items()})}, path)
        from lang_sam.models.sam import SAM

        sam = SAM()
        sam.build_model("sam2.1_hiera_tiny", path, device="cpu")
    boxes = np.array([[20.0, 30.0, 90.0, 100.0], [60.0, 10.0, 120.0, 60.0]])
    masks, scores, logits = sam.predict(PHOTO, boxes)
    many = sam.predict_batch([PHOTO, PHOTO[:90]], [boxes, boxes[:1]])
    found = {"mask": with_mask(masks), "scores": torch.from_numpy(scores), "logits": torch.from_numpy(logits)}
    for index, (mask, score, logit) in enumerate(zip(*many, strict=True)):
        found |= {f"batch {index} mask": with_mask(mask), f"batch {index} scores": torch.as_tensor(score)}
        found[f"batch {index} logits"] = torch.from_numpy(logit)
    return found


class _Backend:
    """What Label Studio's base class gives to a backend."""

    def get_first_tag_occurence(self, *tags: str) -> tuple[str, str, str]:
        return "from", "to", "file"

    def get_local_path(self, url: str, task_id: Any = None) -> str:
        return url

    def get(self, key: str) -> str:
        return key


class _Answer:
    def __init__(self, **given: Any) -> None:
        vars(self).update(given)

    def model_dump(self) -> dict[str, Any]:
        return vars(self)


class _Cache(dict[str, Any]):
    def __init__(self, capacity: int) -> None:
        super().__init__()

    def put(self, key: str, value: Any) -> None:
        self[key] = value


def _without_label_studio() -> None:
    for package in ("label_studio_ml", "label_studio_sdk", "label_studio_sdk.label_interface"):
        module_with(package)
    module_with("label_studio_ml.model", LabelStudioMLBase=_Backend)
    module_with("label_studio_ml.response", ModelResponse=_Answer)
    module_with("label_studio_ml.utils", InMemoryLRUDictCache=_Cache)
    module_with("label_studio_sdk.converter", brush=type("brush", (), {"mask2rle": staticmethod(np.asarray)}))
    module_with("label_studio_sdk.label_interface.objects", PredictionValue=_Answer)
    os.environ["DEVICE"] = "cpu"


EXAMPLES = "label-studio/label_studio_ml/examples"
CONTEXT = [
    {"type": "keypointlabels", "value": {"x": 40, "y": 50, "keypointlabels": ["a"]}, "is_positive": 1},
    {"type": "keypointlabels", "value": {"x": 80, "y": 20, "keypointlabels": ["a"]}, "is_positive": 0},
    {
        "type": "rectanglelabels",
        "value": {"x": 20, "y": 30, "width": 50, "height": 40, "rectanglelabels": ["a"]},
    },
]


def label_studio_sam(ours: bool) -> dict[str, Tensor]:
    """Its backend for SAM, which also puts its own functions in place of some of torch's."""
    import segment_anything

    _without_label_studio()
    os.environ["VITH_CHECKPOINT"] = __file__
    segment_anything.sam_model_registry["vit_h"] = lambda checkpoint: small_sam()
    module = _module(f"{EXAMPLES}/segment_anything_model/sam_predictor.py")
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "photo.png")
        Image.fromarray(PHOTO).save(path)
        predictor = module.SAMPredictor("SAM")
        for name, prompt in {
            "points": {"point_coords": [[40, 60], [90, 30]], "point_labels": [1, 0]},
            "box": {"input_box": [20, 30, 90, 100]},
        }.items():
            given = {"task": {"id": 1}, "path_resolver": lambda path, task_id: path}
            answer = predictor.predict(path, **prompt, **given)
            found |= {
                f"{name} mask": with_mask(answer["masks"][0]),
                f"{name} score": torch.tensor(answer["probs"]),
            }
    return found


def label_studio_sam2(ours: bool) -> dict[str, Tensor]:
    """Its backend for SAM 2 on photos."""
    import sam2.build_sam

    _without_label_studio()
    with mock.patch.object(sam2.build_sam, "build_sam2", return_value=small_sam2(ours)):
        module = _module(f"{EXAMPLES}/segment_anything_2_image/model.py")
    module.predictor._bb_feat_sizes = [(32, 32), (16, 16), (8, 8)]
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "photo.png")
        Image.fromarray(PHOTO).save(path)
        for count in (1, 2, 3):
            context = [{**each, "original_width": 128, "original_height": 128} for each in CONTEXT[:count]]
            task = {"id": 1, "data": {"file": path}}
            (result,) = module.NewModel().predict([task], {"result": context}).predictions[0]["result"]
            found[f"{count} mask"] = with_mask(result["value"]["rle"] > 0)
            found[f"{count} score"] = torch.tensor(result["score"])
    return found


def label_studio_sam2_video(ours: bool) -> dict[str, Tensor]:
    """Its interactive backend for SAM 2 on clips: rectangles become clicks, masks become rectangles; then a
    rectangle is corrected on a later frame."""
    import cv2
    import sam2.build_sam

    _without_label_studio()
    os.environ["MAX_FRAMES_TO_TRACK"] = "5"
    with mock.patch.object(sam2.build_sam, "build_sam2_video_predictor", return_value=small_video(ours)):
        module = _module(f"{EXAMPLES}/segment_anything_2_video/model.py")
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "clip.avi")
        writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"MJPG"), 10, (140, 90))
        for frame in frames(8):
            writer.write(frame[..., ::-1].copy())
        writer.release()
        os.chdir(folder)
        first = {"frame": 1, "x": 12, "y": 28, "width": 20, "height": 32}
        corrected = {"frame": 3, "x": 16, "y": 30, "width": 16, "height": 24}
        found = {}
        for asked, boxes in {"first": [first], "corrected": [first, corrected]}.items():
            context = {"id": "a", "value": {"framesCount": 8, "duration": 0.8, "sequence": boxes}}
            answer = module.NewModel().predict([{"id": 1, "data": {"file": path}}], {"result": [context]})
            tracked = answer.predictions[0].result[0]["value"]["sequence"]
            assert len(tracked) > len(boxes) + 2
            sides = ("frame", "x", "y", "width", "height")
            found[asked] = torch.tensor([[float(each[side]) for side in sides] for each in tracked])
        os.chdir("/")
    return found


# --- sam2's own tools -----------------------------------------------------------------------------


def vos_inference(ours: bool) -> dict[str, Tensor]:
    """``tools/vos_inference.py`` of the official repository, as a command with all of its flags."""
    import sam2.build_sam

    from tests.video.parity import write_jpegs

    def built(*_: Any, hydra_overrides_extra: list[str], **__: Any) -> Any:
        model = small_video(ours)
        model.non_overlap_masks = "++model.non_overlap_masks=true" in hydra_overrides_extra
        return model

    with mock.patch.object(sam2.build_sam, "build_sam2_video_predictor", built):
        script = _module("sam2/tools/vos_inference.py")
    found = {}
    for number, flags in enumerate(FLAGS):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            (root / "clips").mkdir()
            write_jpegs(root / "clips" / "one", frames(6))
            _write_masks(root / "masks" / "one", apart="--per_obj_png_file" in flags, later=LATER in flags)
            (root / "list.txt").write_text("one\n")
            arguments = ["--base_video_dir", root / "clips", "--input_mask_dir", root / "masks"]
            arguments += ["--output_mask_dir", root / "out", "--video_list_file", root / "list.txt"]
            with mock.patch.object(sys, "argv", ["vos_inference.py", *map(str, arguments), *flags]):
                script.main()
            pictures = sorted((root / "out").rglob("*.png"))
            assert len(pictures) >= 6
            for path in pictures:
                key = str(path.relative_to(root / "out")).replace("/", " ")
                found[f"{number} mask {key}"] = with_mask(np.asarray(Image.open(path)))
    return found


LATER = "--track_object_appearing_later_in_video"
FLAGS = (
    ["--score_thresh", "0.5"],
    ["--per_obj_png_file"],
    ["--use_all_masks", "--apply_postprocessing"],
    [LATER, "--use_vos_optimized_video_predictor"],
    [LATER, "--per_obj_png_file"],
)


def _write_masks(folder: Path, *, apart: bool, later: bool) -> None:
    """Masks of the disc and the square on the first and the fourth frame; the square may come later."""
    disc, square = np.zeros((90, 140), np.uint8), np.zeros((90, 140), np.uint8)
    disc[30:50, 20:40], square[48:72, 98:122] = 1, 1
    for name, shown in {"00000": (disc, square * (not later)), "00003": (disc, square)}.items():
        each = {str(index + 1).zfill(3): mask for index, mask in enumerate(shown) if mask.any()}
        if not apart:
            each = {"": shown[0] + 2 * shown[1]}
        for object_name, mask in each.items():
            path = folder / object_name / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture = Image.fromarray(mask)
            picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
            picture.save(path)


def sam2_training(ours: bool) -> dict[str, Tensor]:
    """``training/model/sam2.py``: its model on three frames with two objects, with clicks that correct."""
    from tests.parity.official import official_model
    from tests.parity.seeded import fill
    from tests.video.parity import tiny

    module_with("tensordict", tensorclass=_Batch.of)
    sys.path.insert(0, str(place() / "sam2"))
    import sam2.modeling.sam2_base
    from sam2.sam2_video_predictor import SAM2VideoPredictor  # noqa: F401 -- of the class that is replaced
    from training.model.sam2 import SAM2Train
    from training.utils.data_utils import BatchedVideoDatapoint

    options = {"prob_to_use_pt_input_for_train": 1.0, "num_correction_pt_per_frame": 2}
    if ours:
        model = SAM2Train.of(tiny(), **options)
    else:
        made = partial(SAM2Train, **options)
        with mock.patch.object(sam2.modeling.sam2_base, "SAM2Base", made):
            model = official_model(tiny()).requires_grad_(True)
    fill(model)
    model.train()
    for part in model.modules():  # the two sides draw from one sequence of random numbers in other orders
        for name in ("p", "dropout", "dropout_p"):
            if isinstance(getattr(part, name, None), float):
                setattr(part, name, 0.0)
    random = torch.Generator().manual_seed(2)
    objects = torch.zeros(3, 2, 128, 128, dtype=torch.bool)
    objects[:, 0, 30:80, 20:60], objects[:, 1, 60:110, 70:120] = True, True
    batch = BatchedVideoDatapoint(
        img_batch=torch.randn(3, 1, 3, 128, 128, generator=random),
        obj_to_frame_idx=torch.tensor([[[frame, 0], [frame, 0]] for frame in range(3)]),
        masks=objects,
        metadata=None,
        dict_key="",
    )
    torch.manual_seed(3)
    answers = model(batch)
    found, loss = {}, torch.zeros(())
    for frame, answer in enumerate(answers):
        found[f"{frame} logits"] = answer["pred_masks_high_res"].detach()
        for masks in answer["multistep_pred_multimasks_high_res"]:
            wanted = objects[frame][:, None].expand_as(masks).float()
            loss = loss + F.binary_cross_entropy_with_logits(masks, wanted)
    loss.backward()
    # all in one: in float32 rounding decides on which side of a ReLU a value lies, which small ones notice
    gradients = {name: x.grad.flatten() for name, x in model.named_parameters() if x.grad is not None}
    found["gradient"] = torch.cat([gradients[name] for name in sorted(gradients)])
    return found | {"loss": loss.detach()}


class _Batch:
    """What the training code uses of tensordict's classes: fields by name, and the first axis."""

    @staticmethod
    def of(kind: type) -> type:
        kind.batch_size = property(lambda self: self.img_batch.shape[:1])  # type: ignore[attr-defined]
        return dataclass(kind)


CHECKOUTS = {
    each.__name__: each
    for each in (
        sam_lora,
        medsam,
        lang_sam,
        label_studio_sam,
        label_studio_sam2,
        label_studio_sam2_video,
        vos_inference,
        sam2_training,
    )
}
"""By name; ``lang_sam`` runs a model of the published size."""
