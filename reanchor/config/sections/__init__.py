"""Every setting, typed: one dataclass per section of `params.yaml`."""
