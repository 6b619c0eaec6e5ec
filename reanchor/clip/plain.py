"""What makes an open_clip configuration a plain CLIP, and nothing else."""

# What the encoders here compute; open_clip's default where a configuration is silent. Other values of these change
# the result without changing any tensor's name.
PLAIN = {
    "": {"custom_text": False, "multimodal_cfg": None},
    "vision_cfg": {"timm_model_name": None, "attentional_pool": False, "pool_type": "tok", "no_ln_pre": False,
                   "final_ln_after_pool": False},
    "text_cfg": {"hf_model_name": None, "hf_tokenizer_name": None, "tokenizer_mode": None, "vocab_size": 49408,
                 "no_causal_mask": False, "embed_cls": False, "pool_type": "argmax", "final_ln_after_pool": False,
                 "proj_bias": False, "proj_type": "linear"},
}
# What tensors show, or what leaves them as they are; any value will do.
FREE = {
    "": {"embed_dim", "quick_gelu", "vision_cfg", "text_cfg"},
    "vision_cfg": {"image_size", "patch_size", "width", "layers", "head_width", "mlp_ratio", "ls_init_value"},
    "text_cfg": {"context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio", "ls_init_value"},
}


def departures(config: dict) -> list[str]:
    """The settings ("text_cfg.pool_type last") of an open_clip configuration that make it another model than CLIP."""
    return [f"{section}.{key} {found}".lstrip(".") for section, plain in PLAIN.items() for key, value in plain.items()
            if (found := (config.get(section, {}) if section else config).get(key, value)) != value]


def foreign(config: dict) -> list[str]:
    """The settings that a file of this project's making cannot have: departures, and names outside both tables.

    A file's word is not enough for them: open_clip would download what `timm_model_name` says. A vocabulary of its
    own is the small CLIP's.
    """
    text = {key: value for key, value in config["text_cfg"].items() if key != "vocab_size"}
    known = {section: {*PLAIN[section], *FREE[section]} for section in PLAIN}
    unknown = [f"{section}.{key}".lstrip(".") for section in PLAIN for key in (config[section] if section else config)
               if key not in known[section]]
    return departures({**config, "text_cfg": text}) + unknown
