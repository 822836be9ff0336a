"""The canvas viewer: the gradio component and what feeds it."""

from explorer.viewer.matrix.source import AttentionSource, Source, StackSource
from explorer.viewer.matrix.store import ViewerStore
from explorer.viewer.matrix.viewer import WHOLE_LAYER_TOKENS, AttentionViewer, token_names, viewer_value

__all__ = [
    "WHOLE_LAYER_TOKENS",
    "AttentionSource",
    "AttentionViewer",
    "Source",
    "StackSource",
    "ViewerStore",
    "token_names",
    "viewer_value",
]
