"""``configs/*.yaml`` for programs that compose models themselves, and overrides that only Hydra can read."""

import importlib
from pathlib import Path

import pytest
import torch
import yaml

import everymask.compat.sam2
from everymask.compat.sam2.build_sam import build_sam2, build_sam2_video_predictor
from everymask.compat.sam2.config_files import CONFIG_MODULE, HF_MODEL_ID_TO_FILENAMES
from everymask.errors import OptionError, UnknownModelError
from tools import write_sam2_configs

hydra = pytest.importorskip("hydra")
PATHS = [path for path, _ in HF_MODEL_ID_TO_FILENAMES.values()]
TINY = "configs/sam2.1/sam2.1_hiera_t.yaml"


@pytest.fixture(autouse=True)
def composing():
    """Hydra looks into our package, whoever initialised it before."""
    from hydra.core.global_hydra import GlobalHydra

    before = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    hydra.initialize_config_module(CONFIG_MODULE, version_base="1.2")
    yield
    GlobalHydra.instance().hydra = before


def test_the_files_are_what_the_tool_writes():
    folder = Path(everymask.compat.sam2.__path__[0])
    for path, text in write_sam2_configs.texts().items():
        assert (folder / path).read_text() == text, "run tools/write_sam2_configs.py"


@pytest.mark.parametrize("path", PATHS)
def test_the_files_say_what_the_official_ones_say(path):
    """Every argument of every part, but for those at the official constructor's own default."""
    official = Path(pytest.importorskip("sam2").__path__[0])
    ours = yaml.safe_load((Path(everymask.compat.sam2.__path__[0]) / path).read_text())["model"]
    theirs = yaml.safe_load((official / path).read_text())["model"]
    assert plain(ours) == plain(theirs)


def plain(config):
    """A config without what only tells one package from the other, defaults filled in."""
    if not isinstance(config, dict):
        return float(config) if isinstance(config, str) and config.startswith("1e") else config
    filled = {key: plain(value) for key, value in config.items()}
    kind = filled.get("_target_", "").rpartition("sam2.modeling.")[2]
    filled["_target_"] = kind
    defaults = {
        "backbones.hieradet.Hiera": {
            "window_spec": [8, 4, 14, 7],
            "stages": [2, 3, 16, 3],
            "window_pos_embed_bkg_spatial_size": [14, 14],
            "global_att_blocks": [12, 16, 20],
        },
        "sam2_base.SAM2Base": {
            "max_obj_ptrs_in_encoder": 16,
            "no_obj_embed_spatial": False,
            "proj_tpos_enc_in_obj_ptrs": False,
            "use_signed_tpos_enc_to_obj_ptrs": False,
        },
    }
    return {**defaults.get(kind, {}), **filled}


def test_a_program_composes_and_instantiates_a_model():
    from hydra.utils import instantiate

    overrides = ["++model.num_maskmem=3", "++model.image_encoder.trunk.drop_path_rate=0.1"]
    config = hydra.compose(config_name=TINY, overrides=overrides)
    model = instantiate(config.model, _recursive_=True)
    assert type(model) is everymask.compat.sam2.modeling.SAM2Base
    assert model.num_maskmem == 3
    assert model.image_encoder.trunk.blocks[-1].drop_path.drop_prob == pytest.approx(0.1)
    with torch.no_grad():
        assert model.eval().forward_image(torch.zeros(1, 3, 256, 256))["vision_features"].shape[1] == 256


@pytest.mark.parametrize("build", [build_sam2, build_sam2_video_predictor])
def test_builders_take_every_override_where_hydra_is(build):
    overrides = ["++model.image_encoder.trunk.drop_path_rate=0.2", "~model.compile_image_encoder"]
    model = build(TINY, device="cpu", hydra_overrides_extra=overrides)
    assert model.image_encoder.trunk.blocks[-1].drop_path.drop_prob == pytest.approx(0.2)
    assert model.sam_mask_decoder.dynamic_multimask_via_stability
    assert getattr(model, "fill_hole_area", 8) == 8


def test_an_own_class_and_an_own_file(tmp_path):
    target = "everymask.compat.sam2.sam2_video_predictor.SAM2VideoPredictorVOS"
    model = build_sam2(TINY, device="cpu", hydra_overrides_extra=[f"++model._target_={target}"])
    assert type(model).__name__ == "SAM2VideoPredictorVOS"
    text = (Path(everymask.compat.sam2.__path__[0]) / TINY).read_text()
    (tmp_path / "mine.yaml").write_text(text.replace("num_maskmem: 7", "num_maskmem: 2"))
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(tmp_path), version_base="1.2"):
        assert build_sam2("mine.yaml", device="cpu").num_maskmem == 2
        with pytest.raises(UnknownModelError, match=r"no SAM 2 model is known by the config 'yours\.yaml'"):
            build_sam2("yours.yaml", device="cpu")


def test_an_override_that_does_not_fit_is_refused():
    with pytest.raises(OptionError, match=r"the overrides \['model.max_pointers=4'.* do not fit configs/"):
        build_sam2(TINY, device="cpu", hydra_overrides_extra=["model.max_pointers=4"])


def test_importing_the_package_initialises_hydra_as_the_official_one_does():
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    importlib.reload(everymask.compat.sam2)
    assert GlobalHydra.instance().is_initialized()
    assert hydra.compose(config_name=TINY).model.num_maskmem == 7
