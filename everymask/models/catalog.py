"""The weights files that everymask knows by name: where they come from, how large, which hash.

Sizes and hashes are those of the files that the labs published, or for ``listed`` entries those that
mirrors list. ``None`` means that we know none: such a file is accepted on first use, and its hash is
remembered.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from ..errors import UnknownModelError

_SAM = "https://dl.fbaipublicfiles.com/segment_anything/"
_SAM2 = "https://dl.fbaipublicfiles.com/segment_anything_2/072824/"
_SAM21 = "https://dl.fbaipublicfiles.com/segment_anything_2/092824/"
_MOBILE_SAM = "https://github.com/ChaoningZhang/MobileSAM/raw/master/weights/"
_EDGETAM = "https://github.com/facebookresearch/EdgeTAM/raw/main/checkpoints/"
_EFFICIENTTAM = "https://huggingface.co/yunyangx/efficient-track-anything/resolve/main/"
_HQ_SAM = "https://huggingface.co/lkeab/hq-sam/resolve/main/"


@dataclass(frozen=True)
class WeightsFile:
    """One published weights file."""

    name: str
    file: str
    """The file's own name, also its name in the cache and on a mirror."""
    url: str
    """Where the lab publishes it; empty for the file that ships in the package."""
    size_bytes: int | None
    sha256: str | None
    licence: str
    purpose: str
    hub_id: str = ""
    """A Hugging Face repository that holds the same bytes."""
    listed: bool = False
    """True: size and hash are as mirrors and model cards list them; none of us has had the file."""
    used_by: str = ""
    """The command that the file is for, where that is no mask model's; such a file does not open as one."""

    @property
    def bundled(self) -> bool:
        return not self.url


CATALOG: dict[str, WeightsFile] = {
    entry.name: entry
    for entry in (
        WeightsFile(
            "nano",
            "nano.safetensors",
            "",
            None,
            None,
            "Apache-2.0",
            "ships in the package: first steps, tests, offline; photos and video",
        ),
        WeightsFile(
            "mobile_sam",
            "mobile_sam.pt",
            _MOBILE_SAM + "mobile_sam.pt",
            40_728_226,
            "6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
            "Apache-2.0",
            "photos on a laptop: SAM's decoder behind a small encoder",
        ),
        WeightsFile(
            "sam2.1_hiera_tiny",
            "sam2.1_hiera_tiny.pt",
            _SAM21 + "sam2.1_hiera_tiny.pt",
            156_008_466,
            "7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69",
            "Apache-2.0",
            "photos and video, quick: the one to try first",
            "facebook/sam2.1-hiera-tiny",
        ),
        WeightsFile(
            "sam2.1_hiera_small",
            "sam2.1_hiera_small.pt",
            _SAM21 + "sam2.1_hiera_small.pt",
            184_416_285,
            "6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38",
            "Apache-2.0",
            "photos and video, a little better than tiny",
            "facebook/sam2.1-hiera-small",
        ),
        WeightsFile(
            "sam2.1_hiera_base_plus",
            "sam2.1_hiera_base_plus.pt",
            _SAM21 + "sam2.1_hiera_base_plus.pt",
            323_606_802,
            "a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5",
            "Apache-2.0",
            "photos and video, better edges and parts",
            "facebook/sam2.1-hiera-base-plus",
        ),
        WeightsFile(
            "sam2.1_hiera_large",
            "sam2.1_hiera_large.pt",
            _SAM21 + "sam2.1_hiera_large.pt",
            898_083_611,
            "2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318",
            "Apache-2.0",
            "photos and video, the best masks; wants a GPU",
            "facebook/sam2.1-hiera-large",
        ),
        WeightsFile(
            "sam2_hiera_tiny",
            "sam2_hiera_tiny.pt",
            _SAM2 + "sam2_hiera_tiny.pt",
            155_906_050,
            "65b50056e05bcb13694174f51bb6da89c894b57b75ccdf0ba6352c597c5d1125",
            "Apache-2.0",
            "the first SAM 2 release, to repeat older results",
            "facebook/sam2-hiera-tiny",
        ),
        WeightsFile(
            "sam2_hiera_small",
            "sam2_hiera_small.pt",
            _SAM2 + "sam2_hiera_small.pt",
            184_309_650,
            "95949964d4e548409021d47b22712d5f1abf2564cc0c3c765ba599a24ac7dce3",
            "Apache-2.0",
            "the first SAM 2 release, to repeat older results",
            "facebook/sam2-hiera-small",
        ),
        WeightsFile(
            "sam2_hiera_base_plus",
            "sam2_hiera_base_plus.pt",
            _SAM2 + "sam2_hiera_base_plus.pt",
            323_493_298,
            "d0bb7f236400a49669ffdd1be617959a8b1d1065081789d7bbff88eded3a8071",
            "Apache-2.0",
            "the first SAM 2 release, to repeat older results",
            "facebook/sam2-hiera-base-plus",
        ),
        WeightsFile(
            "sam2_hiera_large",
            "sam2_hiera_large.pt",
            _SAM2 + "sam2_hiera_large.pt",
            897_952_466,
            "7442e4e9b732a508f80e141e7c2913437a3610ee0c77381a66658c3a445df87b",
            "Apache-2.0",
            "the first SAM 2 release, to repeat older results",
            "facebook/sam2-hiera-large",
        ),
        WeightsFile(
            "sam_vit_b",
            "sam_vit_b_01ec64.pth",
            _SAM + "sam_vit_b_01ec64.pth",
            375_042_383,
            "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
            "Apache-2.0",
            "photos: the original SAM, smallest",
        ),
        WeightsFile(
            "sam_vit_l",
            "sam_vit_l_0b3195.pth",
            _SAM + "sam_vit_l_0b3195.pth",
            1_249_524_607,
            "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
            "Apache-2.0",
            "photos: the original SAM, middle; wants a GPU",
        ),
        WeightsFile(
            "sam_vit_h",
            "sam_vit_h_4b8939.pth",
            _SAM + "sam_vit_h_4b8939.pth",
            2_564_550_879,
            "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
            "Apache-2.0",
            "photos: the original SAM, largest; wants a GPU",
        ),
        WeightsFile(
            "edgetam",
            "edgetam.pt",
            _EDGETAM + "edgetam.pt",
            None,
            "ed2d4850b8792c239689b043c47046ec239b6e808a3d9b6ae676c803fd8780df",
            "Apache-2.0",
            "video on a CPU: SAM 2's way with a small encoder and small memories; photos too",
            listed=True,
        ),
        WeightsFile(
            "sam_hq_vit_b",
            "sam_hq_vit_b.pth",
            _HQ_SAM + "sam_hq_vit_b.pth",
            379_335_069,
            "14a9d662cd6f5a9c2dba6d40ab0058d88d287e4a18fd6fdc6ad5fb1a3fdeaa57",
            "Apache-2.0",
            "photos: SAM with finer edges",
            listed=True,
        ),
        WeightsFile(
            "sam_hq_vit_l",
            "sam_hq_vit_l.pth",
            _HQ_SAM + "sam_hq_vit_l.pth",
            1_254_865_805,
            "e1a6c385d62bf005ded91a54d5ec55c985cfc4103ef89c08d90f39f04934c343",
            "Apache-2.0",
            "photos: SAM with finer edges; wants a GPU",
            listed=True,
        ),
        WeightsFile(
            "sam_hq_vit_h",
            "sam_hq_vit_h.pth",
            _HQ_SAM + "sam_hq_vit_h.pth",
            2_570_940_653,
            "a7ac14a085326d9fa6199c8c698c4f0e7280afdbb974d2c4660ec60877b45e35",
            "Apache-2.0",
            "photos: SAM with finer edges; wants a GPU",
            listed=True,
        ),
        WeightsFile(
            "sam_hq_vit_tiny",
            "sam_hq_vit_tiny.pth",
            _HQ_SAM + "sam_hq_vit_tiny.pth",
            42_526_881,
            "0f32c075ccdd870ae54db2f7630e7a0878ede5a2b06d05d6fe02c65a82fb7196",
            "Apache-2.0",
            "photos on a laptop, finer edges",
            listed=True,
        ),
        WeightsFile(
            "sam2.1_hq_hiera_large",
            "sam2.1_hq_hiera_large.pt",
            _HQ_SAM + "sam2.1_hq_hiera_large.pt",
            898_844_313,
            "03b8be4b4f282c3d7365715a033918d9ac67cbc597660ccc274448aa1c8cdb05",
            "Apache-2.0",
            "photos and video: SAM 2.1 large with finer edges; wants a GPU",
            listed=True,
        ),
        WeightsFile(
            "efficienttam_s",
            "efficienttam_s.pt",
            _EFFICIENTTAM + "efficienttam_s.pt",
            136_375_868,
            "2b572be30d9e96ee29c8d785fe157c6b079ede7d56fbc8a3671d4120e63c89cd",
            "Apache-2.0",
            "video and photos: SAM 2's memory behind a plain small trunk",
            listed=True,
        ),
        WeightsFile(
            "efficienttam_s_1",
            "efficienttam_s_1.pt",
            _EFFICIENTTAM + "efficienttam_s_1.pt",
            None,
            None,
            "Apache-2.0",
            "video and photos: SAM 2's memory behind a plain small trunk; memories in cells",
            listed=True,
        ),
        WeightsFile(
            "efficienttam_s_2",
            "efficienttam_s_2.pt",
            _EFFICIENTTAM + "efficienttam_s_2.pt",
            None,
            None,
            "Apache-2.0",
            "video and photos: SAM 2's memory behind a plain small trunk; memories in cells, another way",
            listed=True,
        ),
        WeightsFile(
            "efficienttam_s_512x512",
            "efficienttam_s_512x512.pt",
            _EFFICIENTTAM + "efficienttam_s_512x512.pt",
            None,
            None,
            "Apache-2.0",
            "video and photos: SAM 2's memory behind a plain small trunk; pictures of 512 px",
            listed=True,
        ),
        WeightsFile(
            "efficienttam_ti",
            "efficienttam_ti.pt",
            _EFFICIENTTAM + "efficienttam_ti.pt",
            71_616_316,
            "acbb17b28cca1f860acee09c9ecb6efdb732080dc7a85a07292c31813175fa7d",
            "Apache-2.0",
            "the same with a tiny trunk",
            listed=True,
        ),
        WeightsFile(
            "efficienttam_ti_1",
            "efficienttam_ti_1.pt",
            _EFFICIENTTAM + "efficienttam_ti_1.pt",
            None,
            None,
            "Apache-2.0",
            "the same with a tiny trunk; memories in cells",
            listed=True,
        ),
        WeightsFile(
            "efficienttam_ti_2",
            "efficienttam_ti_2.pt",
            _EFFICIENTTAM + "efficienttam_ti_2.pt",
            None,
            None,
            "Apache-2.0",
            "the same with a tiny trunk; memories in cells, another way",
            listed=True,
        ),
        WeightsFile(
            "efficienttam_ti_512x512",
            "efficienttam_ti_512x512.pt",
            _EFFICIENTTAM + "efficienttam_ti_512x512.pt",
            None,
            None,
            "Apache-2.0",
            "the same with a tiny trunk; pictures of 512 px",
            listed=True,
        ),
        WeightsFile(
            "migan",
            "migan_pipeline_v2.onnx",
            "https://huggingface.co/andraniksargsyan/migan/resolve/main/migan_pipeline_v2.onnx",
            28_079_181,
            "6f1f3530a1a2324b19752018ce756088b07973cda8d7d890034ace5c8a48c40b",
            "MIT",
            "takes things out of photos: MI-GAN, small",
            listed=True,
            used_by="everymask erase",
        ),
        WeightsFile(
            "lama",
            "lama_fp32.onnx",
            "https://huggingface.co/Carve/LaMa-ONNX/resolve/main/lama_fp32.onnx",
            208_044_816,
            "1faef5301d78db7dda502fe59966957ec4b79dd64e16f03ed96913c7a4eb68d6",
            "Apache-2.0",
            "takes things out of photos: LaMa, better",
            listed=True,
            used_by="everymask erase",
        ),
    )
}


def find(name: str) -> WeightsFile | None:
    """The entry that ``name`` means: its name (``-`` or ``_``, any case), file name or hub id.

    >>> find("SAM2.1-hiera-tiny").name
    'sam2.1_hiera_tiny'
    >>> find("sam_vit_b_01ec64.pth").name
    'sam_vit_b'
    >>> find("no such model") is None
    True
    """
    wanted = name.lower().replace("-", "_")
    for entry in CATALOG.values():
        if wanted and wanted in (entry.name, entry.file.lower(), entry.hub_id.replace("-", "_")):
            return entry
    return None


def entry_of(name: str) -> WeightsFile:
    """The entry that ``name`` means, or an ``UnknownModelError`` that names the nearest ones."""
    entry = find(name)
    if entry is None:
        near = get_close_matches(name.lower().replace("-", "_"), CATALOG, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise UnknownModelError(f"no model is called {name!r}; {hint}`everymask models list` names them all")
    return entry
