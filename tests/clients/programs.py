"""What programs of others compute, as ``python -m tests.clients.programs PROGRAM official|ours OUT``.

Runs in a process of its own. With ``ours`` the names ``segment_anything`` and ``sam2`` mean our modules;
of the programs no line is changed. What was computed goes to a safetensors file. These programs are on PyPI;
those of ``checkouts.py`` are repositories.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tests.clients.models import PHOTO, PICTURE, Alias, frames, small_sam, small_sam2, small_video, with_mask
from tests.clients.standins import absent, package_without_init

# --- programs -------------------------------------------------------------------------------------


def micro_sam(ours: bool) -> dict[str, Tensor]:
    """Its ways of fine-tuning by a few weights, each a surgery on the encoder, in its training wrapper."""
    from micro_sam.models import peft_sam

    training = _by_itself("micro_sam/training/trainable_sam.py")
    found = {}
    ways = {
        "lora": (peft_sam.LoRASurgery, {"update_matrices": ["q", "k", "v", "mlp"]}),
        "fact": (peft_sam.FacTSurgery, {"dropout": None}),
        "scale and shift": (peft_sam.SSFSurgery, {}),
        "adapters": (peft_sam.AdaptFormer, {"projection_size": 8}),
        "biases": (peft_sam.BiasSurgery, {}),
        "norms": (peft_sam.LayerNormSurgery, {}),
        "attention": (peft_sam.AttentionSurgery, {}),
    }
    for name, (way, options) in ways.items():
        sam = small_sam()
        torch.manual_seed(3)
        model = peft_sam.PEFT_Sam(sam, rank=2, peft_module=way, **options).sam
        torch.manual_seed(4)
        for parameter in model.image_encoder.parameters():
            if parameter.requires_grad:  # adapters begin as zeros
                parameter.data += 0.05 * torch.randn(parameter.shape)
        trainable = training.TrainableSAM(model)
        record = {
            "input_size": (128, 128),
            "original_size": (128, 128),
            "point_coords": torch.tensor([[[40.0, 60.0]], [[90.0, 30.0]]]),
            "point_labels": torch.ones(2, 1),
        }
        (out,) = trainable([record], model.image_encoder(PICTURE), multimask_output=True)
        out["masks"].square().mean().backward()
        found[f"{name}/masks"] = out["masks"].detach()
        found[f"{name}/iou"] = out["iou_predictions"].detach()
        for key, parameter in model.image_encoder.named_parameters():
            if parameter.grad is not None and parameter.dim() > 1:
                found[f"{name}/gradient/{key}"] = parameter.grad
    return found


def micro_sam_builders(ours: bool) -> dict[str, Tensor]:
    """Its own builder of ViT-B, with other numbers of masks and another picture size."""
    from micro_sam.models.build_sam import sam_model_registry

    model, _ = _pair(sam_model_registry["vit_b"](num_multimask_outputs=5, image_size=256))
    found = {key: torch.tensor(value.shape) for key, value in model.state_dict().items()}
    return {key.replace(".", "/"): value for key, value in found.items()}


def _pair(value: Any) -> tuple[Any, Any]:
    return value if isinstance(value, tuple) else (value, None)


def samexporter(ours: bool) -> dict[str, Tensor]:
    """Its modules for ONNX, called; and exported by torch's first exporter, through ONNX Runtime."""
    from samexporter.onnx_utils import ImageEncoderOnnxModel

    upstream = importlib.import_module("samexporter.export_sam2")
    found = {}
    sam = ImageEncoderOnnxModel(small_sam(), use_preprocess=True)
    photo = (PICTURE[0] * 255).permute(1, 2, 0)
    found["sam"] = sam(photo)
    found["sam exported"] = _exported(sam, {"input_image": photo}, ["image_embeddings"])[0]
    model = small_sam2(ours)
    encoder = upstream.SAM2ImageEncoder(model).eval()
    with torch.no_grad():
        maps = encoder(PICTURE)
        found |= {f"sam2/{index}": each for index, each in enumerate(maps)}
        names = ["high_res_feats_0", "high_res_feats_1", "image_embed"]
        exported = _exported(encoder, {"image": PICTURE}, names)
        found |= {f"sam2 exported/{index}": each for index, each in enumerate(exported)}
        for several in (True, False):
            decoder = upstream.SAM2ImageDecoder(model, multimask_output=several).eval()
            masks, iou = decoder(
                maps[2],
                maps[0],
                maps[1],
                torch.tensor([[[40.0, 60.0], [90.0, 30.0]]]),
                torch.tensor([[1.0, 0.0]]),
                torch.zeros(1, 1, 32, 32),
                torch.zeros(1),
            )
            found |= {f"sam2 decoded {several}/masks": masks, f"sam2 decoded {several}/iou": iou}
    return found


def _exported(module: nn.Module, inputs: dict[str, Tensor], outputs: list[str]) -> list[Tensor]:
    import io

    import onnxruntime

    file = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            tuple(inputs.values()),
            file,
            input_names=list(inputs),
            output_names=outputs,
            opset_version=18,
            dynamo=False,
        )
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    arrays = session.run(outputs, {name: value.numpy() for name, value in inputs.items()})
    return [torch.from_numpy(each) for each in arrays]


def peft(ours: bool) -> dict[str, Tensor]:
    """Its LoRA in attention and feed-forward layers: the encoder's answer, gradients, merged weights."""
    from tests.parity.torchvision_standin import hidden

    with hidden():
        from peft import LoraConfig, get_peft_model

    sam = small_sam()
    torch.manual_seed(3)
    config = LoraConfig(r=2, target_modules=["qkv", "lin1", "lin2"], init_lora_weights=False)
    adapted = get_peft_model(sam.image_encoder, config)
    answer = adapted(PICTURE)
    answer.square().mean().backward()
    found = {"embedding": answer.detach()}
    for name, weight in adapted.named_parameters():
        if weight.grad is not None:
            found[f"gradient/{name}"] = weight.grad
    with torch.no_grad():
        merged = adapted.merge_and_unload()
        return found | {"merged": merged(PICTURE)}


def simple_sam2(ours: bool) -> dict[str, Tensor]:
    """Its service: clicks, boxes and masks, and a clip in batches of four frames."""
    from PIL import Image
    from simple_sam2 import SAM2Service

    from tests.video.parity import write_jpegs

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "clip").mkdir()
        write_jpegs(Path(folder) / "clip" / "frames", frames(8))
        service = SAM2Service(cfg="small", ckpt=__file__, batch_size=4, storage_dir=folder)
        service._predictor = small_video(ours)
        service.init_video("clip", video_path=__file__)
        found = {
            "click mask": with_mask(
                service.add_prompts("clip", 0, 1, pos_points=[[30, 40]], neg_points=[[5, 5]])
            ),
            "box mask": with_mask(service.add_prompts("clip", 0, 2, box=[98, 48, 122, 72])),
        }
        service.propagate_and_save("clip", obj_labels={"1": "disc"})
        pictures = sorted((Path(folder) / "clip" / "masks").glob("*.png"))
        found |= {f"mask {path.stem}": with_mask(np.asarray(Image.open(path))) for path in pictures}
    return found


def supervision(ours: bool) -> dict[str, Tensor]:
    """What it makes of a generator's answer."""
    from segment_anything import SamAutomaticMaskGenerator
    from supervision import Detections

    generator = SamAutomaticMaskGenerator(small_sam(), points_per_side=4, **LENIENT)
    detections = Detections.from_sam(generator.generate(PHOTO))
    return {"boxes": torch.from_numpy(detections.xyxy).float(), "mask": with_mask(detections.mask)}


LENIENT: dict[str, Any] = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "box_nms_thresh": 0.9}


def segment_geospatial(ours: bool) -> dict[str, Tensor]:
    """Its class for SAM: everything mode as numbered objects, and prompts."""
    package_without_init("samgeo")
    absent("geopandas", "pyproj")
    module = importlib.import_module("samgeo.samgeo")
    module.sam_model_registry = {"small": lambda checkpoint: small_sam()}
    everything = module.SamGeo("small", checkpoint=__file__, sam_kwargs={"points_per_side": 4, **LENIENT})
    everything.generate(PHOTO, output=None)
    asked = module.SamGeo("small", automatic=False, checkpoint=__file__)
    asked.set_image(PHOTO)
    masks, scores, logits = asked.predict(
        point_coords=np.array([[40, 60], [90, 30]]), point_labels=np.array([1, 0]), return_results=True
    )
    return {
        "objects mask": with_mask(everything.objects),
        "mask": with_mask(masks),
        "scores": torch.from_numpy(scores),
        "logits": torch.from_numpy(logits),
    }


def _by_itself(path: str) -> Any:
    """A file of a package whose ``__init__`` wants more than is installed here."""
    folder = next(Path(each) for each in sys.path if (Path(each) / path).is_file())
    spec = importlib.util.spec_from_file_location(Path(path).stem, folder / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PROGRAMS = {
    each.__name__: each
    for each in (
        micro_sam,
        micro_sam_builders,
        samexporter,
        peft,
        simple_sam2,
        supervision,
        segment_geospatial,
    )
}

if __name__ == "__main__":
    from safetensors.torch import save_file

    from tests.parity.relatives.beside import install_torchvision

    program, side, out = sys.argv[1:]
    warnings.simplefilter("ignore")
    install_torchvision()
    os.environ["MPLBACKEND"] = "agg"
    if side == "ours":
        sys.meta_path.insert(0, Alias())
    from tests.clients.checkouts import CHECKOUTS

    tensors = {**PROGRAMS, **CHECKOUTS}[program](side == "ours")
    save_file({name: value.detach().contiguous().clone() for name, value in tensors.items()}, out)
