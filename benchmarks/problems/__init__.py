"""The problems that optimizers are measured on."""
