"""Image encoders against the official code: time, peak memory and difference, in the same run.

    python -m benchmarks encoders -- --models sam_vit_b sam2.1_hiera_tiny --turns 5
    python -m benchmarks encoders -- --models mobile_sam --mobile-sam PATH_TO_A_MOBILESAM_CHECKOUT

The official code runs in float32, ours in float32 and bfloat16; all with the same seeded weights, on
the same made picture at the models' own size. SAM 2's include the neck and the two convolutions for
the mask decoder.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.measure import Side, compare, difference, ratio_table
from everymask.models.specs import MODELS

DEFAULT = ("sam_vit_b", "sam2.1_hiera_tiny")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks encoders --", description=__doc__)
    parser.add_argument("--models", nargs="+", choices=list(MODELS), metavar="NAME", default=[])
    parser.add_argument("--mobile-sam", metavar="FOLDER", help="a checkout of the official MobileSAM code")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--types", nargs="+", default=["float32", "bfloat16"], metavar="DTYPE")
    given = parser.parse_args(arguments)
    for name in given.models or [*DEFAULT, *(["mobile_sam"] if given.mobile_sam else [])]:
        run(name, given)


def run(name: str, given: argparse.Namespace) -> None:
    options = {"name": name, "checkout": given.mobile_sam}
    if name == "mobile_sam" and not given.mobile_sam:
        print(f"\n{name}: skipped, it needs --mobile-sam FOLDER")
        return
    sides = [Side("official float32", "benchmarks.encoders:official", options)]
    sides += [
        Side(f"everymask {d}", "benchmarks.encoders:ours", {"name": name, "dtype": d}) for d in given.types
    ]
    print(f"\n{name}, {given.threads} threads, {given.turns} turns", flush=True)
    reference, *others = measured = compare(sides, turns=given.turns, threads=given.threads)
    print(ratio_table(measured))
    for one in others:
        print(f"{one.name}: {difference(one.answer, reference.answer)}")


def official(name: str, checkout: str | None) -> Callable[[], Any]:
    """The official encoder with seeded weights."""
    from tests.parity.official import official_model
    from tests.parity.seeded import fill

    spec = MODELS[name]
    if name == "mobile_sam":
        from tests.golden.record_mobile_sam import import_official

        assert checkout is not None
        model = import_official(Path(checkout)).sam_model_registry["vit_t"]()
        fill(model)
        model.eval()  # lays out the attention biases of the weights that are in it now
    else:
        model = official_model(spec)
        fill(model)
    tidy()
    if spec.family == "sam2":
        return partial(_official_sam2, model, pixels(spec.image_size))
    return partial(_without_gradients, model.image_encoder, pixels(spec.image_size))


def ours(name: str, dtype: str) -> Callable[[], Any]:
    """Our encoder with the same weights."""
    from everymask.models.sam import Sam
    from everymask.models.sam2 import Sam2
    from everymask.models.weights import fill_weights
    from tests.parity.seeded import seeded_state

    spec = MODELS[name]
    model = Sam(spec) if spec.family == "sam" else Sam2(spec)
    shapes = {key: value.shape for key, value in model.state_dict().items()}
    fill_weights(model, seeded_state(shapes))
    model.eval().requires_grad_(False).to(getattr(torch, dtype))
    tidy()
    encode = model.encode_frame if isinstance(model, Sam2) else model.encode_image
    return partial(_embedding, encode, pixels(spec.image_size))


def tidy() -> None:
    """Give back what drawing the weights left behind, so that the peak is the encoder's own."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc
        if trim is not None:
            trim(0)


def pixels(size: int) -> Tensor:
    """Normalised pixels of a made picture, [1, 3, size, size]."""
    from tests.parity.conftest import seeded_photo

    photo = torch.from_numpy(seeded_photo(size, size).copy()).permute(2, 0, 1).float()
    return ((photo - 118.0) / 58.0)[None]


@torch.inference_mode()
def _without_gradients(encode: Callable[[Tensor], Any], x: Tensor) -> Any:
    return encode(x)


@torch.inference_mode()
def _embedding(encode: Callable[[Tensor], Any], x: Tensor) -> Tensor:
    return encode(x).embedding


@torch.inference_mode()
def _official_sam2(model: Any, x: Tensor) -> Tensor:
    return model.forward_image(x)["vision_features"]


if __name__ == "__main__":
    main(sys.argv[1:])
