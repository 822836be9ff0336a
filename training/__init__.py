"""Fine-tune or train a ViT, as a run on disk that anyone may watch, stop and resume."""
