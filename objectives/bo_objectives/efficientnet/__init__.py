"""Fine-tuning of EfficientNet, the bundled objective. The import of this package imports no Keras."""
