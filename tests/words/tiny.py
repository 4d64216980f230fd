"""Small random models of `transformers` with tokenizers built here, saved as a hub holds them."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    BertConfig,
    BertTokenizer,
    CLIPTokenizer,
    GenerationConfig,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoProcessor,
    MMGroundingDinoConfig,
    MMGroundingDinoForObjectDetection,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2Processor,
    Sam3Config,
    Sam3Model,
    SwinConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperProcessor,
    WhisperTokenizer,
)
from transformers.models.grounding_dino.image_processing_pil_grounding_dino import (
    GroundingDinoImageProcessorPil,
)
from transformers.models.owlv2.image_processing_pil_owlv2 import Owlv2ImageProcessorPil

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", "red", "blue", "block", "dog", "leash", "a"]
WORDS += ["the", "cat", "##s", "car", "truck"]
SMALL_LAYERS = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


def bert_tokenizer(folder: Path) -> BertTokenizer:
    """Of a few words; others are [UNK]."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    return BertTokenizer(vocab={word: number for number, word in enumerate(WORDS)})


def grounding(folder: Path, kind: str = "grounding", size: int = 64) -> Path:
    """Grounding DINO, or MM Grounding DINO (which LLMDet is)."""
    torch.manual_seed(0)
    swin = SwinConfig(
        image_size=size,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 1, 1],
        window_size=4,
        out_indices=[2, 3, 4],
    )
    bert = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
    )
    config_class, model_class = {
        "grounding": (GroundingDinoConfig, GroundingDinoForObjectDetection),
        "mm": (MMGroundingDinoConfig, MMGroundingDinoForObjectDetection),
    }[kind]
    config = config_class(
        backbone_config=swin,
        text_config=bert,
        num_queries=12,
        encoder_layers=1,
        encoder_ffn_dim=16,
        encoder_attention_heads=2,
        decoder_layers=2,
        decoder_ffn_dim=16,
        decoder_attention_heads=2,
        d_model=32,
        max_text_len=32,
    )
    model_class(config).eval().save_pretrained(folder)
    pictures = GroundingDinoImageProcessorPil(size={"shortest_edge": size, "longest_edge": 2 * size})
    GroundingDinoProcessor(pictures, bert_tokenizer(folder)).save_pretrained(folder)
    return folder


def owl(folder: Path) -> Path:
    """OWLv2 with CLIP's kind of tokenizer."""
    torch.manual_seed(0)
    letters = [chr(97 + i) for i in range(26)]
    pieces = ["!", "<|startoftext|>", "<|endoftext|>", *letters, *(letter + "</w>" for letter in letters)]
    vocab = {piece: number for number, piece in enumerate(pieces)}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocab))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    config = Owlv2Config(
        text_config={
            **SMALL_LAYERS,
            "vocab_size": len(vocab),
            "max_position_embeddings": 16,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "pad_token_id": 2,
        },
        vision_config={**SMALL_LAYERS, "image_size": 64, "patch_size": 16},
        projection_dim=16,
    )
    Owlv2ForObjectDetection(config).eval().save_pretrained(folder)
    tokenizer = CLIPTokenizer(vocab=vocab, merges=[], model_max_length=16)
    Owlv2Processor(Owlv2ImageProcessorPil(size={"height": 64, "width": 64}), tokenizer).save_pretrained(
        folder
    )
    return folder


def whisper(folder: Path, *, several_languages: bool = True) -> Path:
    """Whisper that hears letters."""
    torch.manual_seed(0)
    pieces = ["<|endoftext|>", *sorted(ByteLevel.alphabet())]
    tokenizer = WhisperTokenizer(vocab={piece: number for number, piece in enumerate(pieces)}, merges=[])
    special = ["startoftranscript", "en", "translate", "transcribe", "startoflm", "startofprev", "nospeech"]
    special += ["notimestamps"]
    tokenizer.add_special_tokens({"extra_special_tokens": [f"<|{name}|>" for name in special]})
    number = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in special}
    config = WhisperConfig(
        vocab_size=len(tokenizer),
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        max_target_positions=32,
        pad_token_id=0,
        bos_token_id=0,
        eos_token_id=0,
        decoder_start_token_id=number["startoftranscript"],
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    model = WhisperForConditionalGeneration(config).eval()
    languages = {
        "is_multilingual": True,
        "lang_to_id": {"<|en|>": number["en"]},
        "task_to_id": {"transcribe": number["transcribe"], "translate": number["translate"]},
    }
    model.generation_config = GenerationConfig(
        decoder_start_token_id=number["startoftranscript"],
        eos_token_id=0,
        pad_token_id=0,
        bos_token_id=0,
        no_timestamps_token_id=number["notimestamps"],
        prev_sot_token_id=number["startofprev"],
        **(languages if several_languages else {"is_multilingual": False}),
    )
    model.save_pretrained(folder)
    WhisperProcessor(WhisperFeatureExtractor(), tokenizer).save_pretrained(folder)
    return folder


def sam3(folder: Path) -> Path:
    """SAM 3 for pictures of 112 pixels, with the tokenizer of OWLv2."""
    torch.manual_seed(0)
    letters = [chr(97 + i) for i in range(26)]
    pieces = ["!", "<|startoftext|>", "<|endoftext|>", *letters, *(letter + "</w>" for letter in letters)]
    vocab = {piece: number for number, piece in enumerate(pieces)}
    trunk = {
        "model_type": "sam3_vit_model",
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 112,
        "pretrain_image_size": 56,
        "patch_size": 14,
        "window_size": 4,
        "global_attn_indexes": [1],
    }
    text = {
        "model_type": "clip_text_model",
        "vocab_size": len(vocab),
        "hidden_size": 32,
        "intermediate_size": 32,
        "projection_dim": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "max_position_embeddings": 32,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 2,
    }
    part = {"hidden_size": 32, "num_attention_heads": 2}
    layers = {**part, "num_layers": 1, "intermediate_size": 32}
    sizes = [[32, 32], [16, 16], [8, 8]]
    config = Sam3Config(
        vision_config={"backbone_config": trunk, "fpn_hidden_size": 32, "backbone_feature_sizes": sizes},
        text_config=text,
        geometry_encoder_config=layers,
        detr_encoder_config=layers,
        detr_decoder_config={**layers, "num_queries": 10},
        mask_decoder_config=part,
    )
    Sam3Model(config).eval().save_pretrained(folder)
    CLIPTokenizer(vocab=vocab, merges=[], model_max_length=32).save_pretrained(folder)
    return folder
