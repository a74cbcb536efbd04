"""Fine-tuning EfficientNet: the bundled objective. Importing it loads neither Keras nor a backend."""
