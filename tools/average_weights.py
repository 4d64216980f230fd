#!/usr/bin/env python3
"""Average two weights files of nano, number by number: between two good ones often lies a better one.

    python tools/average_weights.py NEW OLD --share 0.75 --out MEAN.safetensors

Fine-tuned on few photos, NEW knows them better and others worse; a quarter of OLD brings most of the latter
back (Wortsman et al. 2022). Where OLD has no pretrained network beside its trunk, that of NEW is kept and
what takes it in counts as 0 in OLD.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

PRETRAINED = "image_encoder.trunk.pretrained."
JOINTS = "image_encoder.trunk.joints."


def average(new: Mapping[str, Tensor], old: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """``share`` of ``new`` and the rest of ``old``, in float32."""
    result = {}
    for name, value in new.items():
        if name in old:
            result[name] = share * value.float() + (1 - share) * old[name].float()
        elif name.startswith(JOINTS):
            result[name] = share * value.float()
        elif name.startswith(PRETRAINED):
            result[name] = value.float()
        else:
            raise SystemExit(f"expected weights of one model, {name} is in the first file only")
    return {name: value.contiguous() for name, value in result.items()}


def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("new", type=Path)
    parser.add_argument("old", type=Path)
    parser.add_argument("--share", type=float, default=0.5, help="of the first file")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    save_file(average(load_file(options.new), load_file(options.old), options.share), options.out)


if __name__ == "__main__":
    main()
