"""everymask: the Segment Anything family on photos and videos.

    import everymask as em

    masks = em.segment("photo.jpg")                # every object, with the model that ships in the package
    masks.save("photo.json", format="coco")

    model = em.load("nano")                        # a name of `everymask models list`, a file, or a hub id
    predictor = em.ImagePredictor(model)
    predictor.set_image("photo.jpg")
    answer = predictor.predict(points=[(500, 375)], labels=[1])

The reading order, from a photo to its masks, one file at a time:

    media/photos.py          a file, array or PIL picture becomes RGB uint8 [H, W, 3]
    geometry.py              from photo pixels to model pixels and back
    models/sam.py, sam2.py   a model put together from the parts in nn/
    nn/encoders/             pixels to image features
    prompts.py, image/       points, boxes and masks to one object's mask
    everything/grid.py       a grid of points, and crops of it
    everything/candidates.py   each point to its candidate masks
    everything/filters.py, masks/   which candidates stay
    maskset.py               the result
    formats/, media/draw.py  the result as files and pictures

The names below are imported when they are first used, so that ``import everymask`` stays quick and
loads neither torch nor OpenCV.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME_OF = {
    # the shortest way
    "segment": "everymask.everything.segment",
    # models
    "load": "everymask.models.load",
    "pull": "everymask.models.hub",
    "MODELS": "everymask.models.specs",
    "ModelSpec": "everymask.models.specs",
    "PromptableModel": "everymask.models.base",
    # one object of a photo
    "ImagePredictor": "everymask.image",
    "ClickSession": "everymask.image",
    # every object of a photo
    "AutomaticMaskGenerator": "everymask.everything.generate",
    "GeneratorOptions": "everymask.everything.options",
    "Findings": "everymask.everything.findings",
    "batch": "everymask.batching.run",
    # which options fit
    "compare": "everymask.explore.compare",
    "tune": "everymask.explore.tune",
    # for programs without PyTorch
    "export_onnx": "everymask.export.write",
    # objects through a video
    "VideoTracker": "everymask.video.tracker",
    # from words to masks, and things taken out of photos
    "find": "everymask.words.find",
    "find_in_video": "everymask.words.clips",
    "erase": "everymask.inpaint.erase",
    "erase_video": "everymask.inpaint.video",
    "replace": "everymask.inpaint.replace",
    # results, files, pictures
    "Mask": "everymask.maskset",
    "MaskSet": "everymask.maskset",
    "read_photo": "everymask.media.photos",
    "read_masks": "everymask.formats",
    "draw_overlay": "everymask.media.draw",
    # what can go wrong; the whole tree is in everymask.errors
    "EverymaskError": "everymask.errors",
    "InputError": "everymask.errors",
    "CheckpointError": "everymask.errors",
    "DownloadError": "everymask.errors",
}

__all__ = [
    "MODELS",
    "AutomaticMaskGenerator",
    "CheckpointError",
    "ClickSession",
    "DownloadError",
    "EverymaskError",
    "Findings",
    "GeneratorOptions",
    "ImagePredictor",
    "InputError",
    "Mask",
    "MaskSet",
    "ModelSpec",
    "PromptableModel",
    "VideoTracker",
    "__version__",
    "batch",
    "compare",
    "draw_overlay",
    "erase",
    "erase_video",
    "errors",
    "export_onnx",
    "find",
    "find_in_video",
    "load",
    "pull",
    "read_masks",
    "read_photo",
    "replace",
    "segment",
    "tune",
]

if TYPE_CHECKING:
    from . import errors
    from .batching.run import batch
    from .errors import CheckpointError, DownloadError, EverymaskError, InputError
    from .everything.findings import Findings
    from .everything.generate import AutomaticMaskGenerator
    from .everything.options import GeneratorOptions
    from .everything.segment import segment
    from .explore.compare import compare
    from .explore.tune import tune
    from .export.write import export_onnx
    from .formats import read_masks
    from .image import ClickSession, ImagePredictor
    from .inpaint.erase import erase
    from .inpaint.replace import replace
    from .inpaint.video import erase_video
    from .maskset import Mask, MaskSet
    from .media.draw import draw_overlay
    from .media.photos import read_photo
    from .models.base import PromptableModel
    from .models.hub import pull
    from .models.load import load
    from .models.specs import MODELS, ModelSpec
    from .video.tracker import VideoTracker
    from .words.clips import find_in_video
    from .words.find import find


def __getattr__(name: str) -> Any:
    """Import a public name at its first use (PEP 562)."""
    if name == "errors":
        return importlib.import_module("everymask.errors")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'everymask' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names alone, whether used before or not."""
    return sorted(__all__)
