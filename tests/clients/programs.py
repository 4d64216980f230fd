"""What programs of others compute, as ``python -m tests.clients.programs PROGRAM official|ours OUT``.

Runs in a process of its own. With ``ours`` the names ``segment_anything`` and ``sam2`` mean our modules;
of the programs no line is changed. What was computed goes to a safetensors file.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

OFFICIAL = ("segment_anything", "sam2")


class Alias(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Every official module is the one of everymask under the same name."""

    def find_spec(self, name: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        found = name.partition(".")[0] in OFFICIAL
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if found else None

    def exec_module(self, module: ModuleType) -> None:
        sys.modules[module.__name__] = importlib.import_module(f"everymask.compat.{module.__name__}")


def seeded(model: Any) -> Any:
    from tests.parity.seeded import fill

    fill(model)
    return model.eval()


def small_sam() -> Any:
    """A SAM by the official constructors, as one program or the other would build it."""
    from functools import partial

    from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

    encoder = ImageEncoderViT(
        img_size=128,
        embed_dim=32,
        depth=3,
        num_heads=2,
        out_chans=32,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=3,
        global_attn_indexes=(1,),
    )
    transformer = TwoWayTransformer(depth=2, embedding_dim=32, mlp_dim=48, num_heads=4)
    prompts = PromptEncoder(32, (8, 8), (128, 128), 16)
    return seeded(Sam(encoder, prompts, MaskDecoder(transformer_dim=32, transformer=transformer)))


def small_sam2(ours: bool) -> Any:
    from tests.parity.official import official_model
    from tests.video.parity import tiny

    spec = tiny()
    if not ours:
        return seeded(official_model(spec))
    from everymask.compat.sam2.modeling import SAM2Base

    return seeded(SAM2Base.of(spec))


PICTURE = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))


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


def _by_itself(path: str) -> Any:
    """A file of a package whose ``__init__`` wants more than is installed here."""
    folder = next(Path(each) for each in sys.path if (Path(each) / path).is_file())
    spec = importlib.util.spec_from_file_location(Path(path).stem, folder / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PROGRAMS = {each.__name__: each for each in (micro_sam, micro_sam_builders, samexporter)}

if __name__ == "__main__":
    from safetensors.torch import save_file

    from tests.parity.relatives.beside import install_torchvision

    program, side, out = sys.argv[1:]
    warnings.simplefilter("ignore")
    install_torchvision()
    if side == "ours":
        sys.meta_path.insert(0, Alias())
    tensors = PROGRAMS[program](side == "ours")
    save_file({name: value.detach().contiguous().clone() for name, value in tensors.items()}, out)
