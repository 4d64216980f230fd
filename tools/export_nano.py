#!/usr/bin/env python3
"""Write trained weights as the bundled model: float16, official key names, provenance in the metadata.

python tools/export_nano.py runs/nano/c256/average.safetensors --note "45,000 images at 256 px"
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from safetensors.torch import load_file, save_file

from everymask.formats.landing import landing
from everymask.models.sam2 import Sam2
from everymask.models.specs import MODELS
from everymask.models.weights import to_official


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", type=Path)
    parser.add_argument("--out", type=Path, default="everymask/assets/nano.safetensors")
    parser.add_argument("--side", type=int, default=MODELS["nano"].image_size)
    parser.add_argument("--note", default="")
    arguments = parser.parse_args()
    model = Sam2(replace(MODELS["nano"], image_size=arguments.side))
    model.load_state_dict(load_file(arguments.weights))
    half = {
        name: value.half().contiguous() if value.is_floating_point() else value
        for name, value in to_official(model).items()
    }
    provenance = {
        "model": "everymask nano",
        "licence": "Apache-2.0",
        "training": "see docs/nano.md",
        "note": arguments.note,
    }
    with landing(arguments.out) as temporary:
        save_file(half, temporary, metadata=provenance)
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
