"""What jacobgil/vit-explain computes, written anew from its published behaviour: the oracle of the compat modes."""

import numpy as np


def rollout(attentions, discard_ratio: float, head_fusion: str) -> np.ndarray:
    """attentions: L arrays [H, N, N]. The map it returns for the class token, on a square grid."""
    fusion = {"mean": np.mean, "max": np.max, "min": np.min}[head_fusion]
    return _followed([fusion(heads, axis=0) for heads in attentions], discard_ratio, spares_first=True)


def gradient_rollout(attentions, gradients, discard_ratio: float) -> np.ndarray:
    """gradients: in the order in which backward hooks fire, from the last layer to the first. It zips them with the
    attentions as they are."""
    fused = [np.maximum((a * g).mean(axis=0), 0) for a, g in zip(attentions, gradients, strict=True)]
    return _followed(fused, discard_ratio, spares_first=False)


def _followed(fused, discard_ratio: float, spares_first: bool) -> np.ndarray:
    product = np.eye(len(fused[0]))
    for matrix in fused:
        matrix = matrix.astype(np.float64).copy()
        weakest = np.argsort(matrix, axis=None)[: int(matrix.size * discard_ratio)]
        matrix.flat[weakest[weakest != 0] if spares_first else weakest] = 0
        halved = (matrix + np.eye(len(matrix))) / 2
        product = (halved / halved.sum(axis=1)[None, :]) @ product  # the fault: column j is divided by row j's sum
    patches = product[0, 1:]
    side = int(len(patches) ** 0.5)
    return (patches / patches.max()).reshape(side, side)
