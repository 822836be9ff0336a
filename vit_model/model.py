"""The Vision Transformer, read top-down: patches -> tokens -> blocks -> pool -> head.

Dosovitskiy et al. 2021 (arXiv 2010.11929), equations 1 to 4, and the variants that published checkpoints need: DeiT's
distillation token (arXiv 2012.12877), LayerScale (2103.17239), registers (2309.16588), SwiGLU (2002.05202), lucidrains'
patch LayerNorms. Shapes in comments: B batch, N tokens, D width, H heads, d = D / H, K classes.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from vit_model.config import ViTConfig, check_size
from vit_model.linear import Linear, linear
from vit_model.positions import resample_positions
from vit_model.preprocess import CropBox, Preprocessing
from vit_model.trace import LayerRecord, Trace


@dataclass(frozen=True)
class Origin:
    """Where a model came from: how it was named, which format it had, and the SHA-256 of its weights file."""

    source: str = "untrained"
    format: str = "vit-explorer"
    checksum: str = ""
    interpolation: str = "bilinear"  # the position scheme of the library it comes from
    dropped: tuple[str, ...] = ()  # checkpoint keys left out on purpose, each with its reason
    notes: tuple[str, ...] = ()
    own_size: tuple[int, int] | None = None  # what its files ask for, where the caller's bound made it smaller


class VisionTransformer(nn.Module):
    """A ViT with everything needed to use it: `config`, `labels`, `preprocessing` and `origin`.

    `model(pixels [B, C, h, w]) -> logits [B, K]`; without a head (`config.classes == 0`) the pooled features
    [B, feature_width]. With `pool="class-distilled"`, the mean of both heads in eval mode and the pair of logits
    (class head, distillation head) in train mode, as DeiT trains.

    In train mode the last block ends for the tokens that the head reads, see `logits_from`; in eval mode it computes
    all of them, as in a trace, whose logits are the same bits.
    """

    blocks: Sequence[Block]  # a ModuleList, whose type does not say of what

    def __init__(
        self,
        config: ViTConfig,
        labels: Sequence[str] = (),
        preprocessing: Preprocessing | None = None,
        origin: Origin | None = None,
    ):
        super().__init__()
        if labels and len(labels) != config.classes:
            raise ValueError(f"{len(labels)} labels for {config.classes} classes")
        self.config = config
        self.labels = tuple(labels) or tuple(f"class {index}" for index in range(config.classes))
        self.preprocessing = preprocessing or Preprocessing(size=config.image_size)
        self.origin = origin or Origin()

        D = config.width
        self.patch_embed = PatchEmbed(config)
        self.class_token = nn.Parameter(torch.zeros(1, 1, D)) if config.class_token else None
        self.distillation_token = nn.Parameter(torch.zeros(1, 1, D)) if config.distillation_token else None
        self.registers = nn.Parameter(torch.zeros(1, config.registers, D)) if config.registers else None
        positions = config.positioned_prefix + config.grid[0] * config.grid[1]
        self.positions = nn.Parameter(torch.zeros(1, positions, D))
        self.embedding_dropout = nn.Dropout(config.embedding_dropout)
        self.pre_norm = nn.LayerNorm(D, config.norm_eps) if config.pre_norm else nn.Identity()
        rates = [config.drop_path * index / max(config.depth - 1, 1) for index in range(config.depth)]
        self.blocks = nn.ModuleList(Block(config, rate) for rate in rates)  # pyright: ignore[reportAttributeAccessIssue]
        self.norm = nn.LayerNorm(D, config.norm_eps)
        pooled = 2 * D if config.pool == "class+mean" else D
        self.pre_logits = Linear(pooled, config.pre_logits) if config.pre_logits else None
        self.head = Linear(config.feature_width, config.classes) if config.classes else None
        distilled = config.classes and config.pool == "class-distilled"
        self.distillation_head = Linear(config.feature_width, config.classes) if distilled else None
        self.apply(_initialise)
        for parameter in (self.class_token, self.distillation_token, self.registers, self.positions):
            if parameter is not None:
                nn.init.trunc_normal_(parameter, std=0.02)
        for head in (self.head, self.distillation_head):
            if head is not None:  # fine-tuning starts from a zero head (paper, section 3.2)
                nn.init.zeros_(head.weight)

    def forward(self, pixels: Tensor) -> Tensor:
        return self._run(pixels, None, whole=not self.training)

    def trace(self, pixels: Tensor, differentiable: bool = False, whole: bool = True) -> Trace:
        """One forward pass that keeps what it computed; see `Trace`. Its logits are the bits of a plain forward.

        `differentiable=True` keeps the graph of the activations, never of the parameters, so that gradients of a logit
        with respect to any of them can be asked for with `torch.autograd.grad`. Pixels that already require a gradient
        are used as they are.

        `whole=False` ends the last block for the tokens that the head reads, see `logits_from`: the last `head_outputs`
        and `residual` hold these alone, and logits differ from a plain forward's by rounding.
        """
        records: list[LayerRecord] = []
        if not differentiable:
            with torch.no_grad():
                logits = self._run(pixels, records, whole)
        else:
            model = self
            if any(parameter.requires_grad for parameter in self.parameters()):
                model = self._sharing_weights()
            if not pixels.requires_grad:
                pixels = pixels.detach().requires_grad_()
            with torch.enable_grad():
                logits = model._run(pixels, records, whole)
        if isinstance(logits, tuple):
            raise ValueError("a DeiT in train mode returns two logits; call model.eval() before tracing it")
        return Trace.of(logits, records, self.config)

    def preprocess(self, picture: Image.Image) -> tuple[Tensor, CropBox]:
        """Picture -> (pixels [1, C, h, w], the box in the picture's own pixels that they show)."""
        return self.preprocessing(picture)

    def at_size(self, image_size: int | Sequence[int], interpolation: str | None = None) -> VisionTransformer:
        """This model at another image size: positions resampled by the origin's scheme unless told otherwise, every
        other weight shared with this one, preprocessing scaled along. ValueError if the patch does not divide the size.
        """
        size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
        check_size(size, self.config.patch_size)
        config = replace(self.config, image_size=size)
        other = self._sharing_weights()
        other.config = config
        other.preprocessing = self.preprocessing.at_size(size)
        with torch.no_grad():
            positions = resample_positions(
                self.positions,
                self.config.grid,
                config.grid,
                prefix=self.config.positioned_prefix,
                method=interpolation or self.origin.interpolation,
            )
        other.positions = nn.Parameter(positions, requires_grad=False)
        return other

    def _sharing_weights(self) -> VisionTransformer:
        """A copy of the modules over the same storage, with no parameter asking for gradients. Leaves `self` alone, so
        it is safe while other threads use the model."""
        shared = [*self.parameters(), *self.buffers()]
        memo = {id(tensor): nn.Parameter(tensor.detach(), requires_grad=False) for tensor in shared}
        return copy.deepcopy(self, memo)

    def _run(self, pixels: Tensor, records: list[LayerRecord] | None, whole: bool) -> Tensor:
        config = self.config
        if pixels.dim() != 4 or tuple(pixels.shape[1:]) != (config.channels, *config.image_size):
            expected = f"[B, {config.channels}, {config.image_size[0]}, {config.image_size[1]}]"
            raise ValueError(
                f"expected pixels {expected}, got {list(pixels.shape)}; for another size use model.at_size"
            )
        x = self.embed(pixels)  # [B, N, D]
        if not whole:
            return self.logits_from(x, records=records)
        for block in self.blocks:
            x = block(x, records)
        if records is not None:
            records.append(LayerRecord(x))
        return self.classify(x)

    def embed(self, pixels: Tensor) -> Tensor:
        """Pixels [B, C, h, w] -> tokens [B, N, D] as the first block gets them (equation 1)."""
        x = self.patch_embed(pixels)  # [B, gh*gw, D]
        prefix = [token for token in (self.class_token, self.distillation_token) if token is not None]
        x = torch.cat([*(token.expand(len(x), -1, -1) for token in prefix), x], dim=1) + self.positions
        if self.registers is not None:  # between the positioned prefix and the patches, without a position
            split = self.config.positioned_prefix
            x = torch.cat([x[:, :split], self.registers.expand(len(x), -1, -1), x[:, split:]], dim=1)
        return self.pre_norm(self.embedding_dropout(x))

    def logits_from(
        self,
        tokens: Tensor,
        layer: int = 0,
        lengths: Sequence[int] | None = None,
        records: list[LayerRecord] | None = None,
    ) -> Tensor:
        """Run the blocks from `layer` on over tokens [B, n, D], as `embed` or `trace.residual[layer]` hold them, and
        classify: logits [B, K]. The prefix must be there; of the patches any may be missing, since a block does not
        count its tokens (Naseer et al. 2021, arXiv 2105.10497): dropping a patch is leaving out its token.

        After the keys and values of the last block only the tokens that the head reads go on: of a model that reads
        one of N tokens the rest of that block's products, most of a twelfth of B/16's forward and backward pass, is
        not computed.

        `lengths`: tokens [1, n, D] are sequences of these lengths, one after the other, none of which sees another
        (packing: Dehghani et al. 2023, arXiv 2307.06304); logits [len(lengths), K]. Short sequences are faster so.
        `records`: a list that gets what each block leaves, and the last state.

        Raises IndexError for a layer outside 0..depth, ValueError where a mean over patches is left with none, and for
        lengths that do not fill the tokens.
        """
        config, read = self.config, self.config.tokens_read
        if not 0 <= layer <= config.depth:
            raise IndexError(f"layer {layer} is out of range: blocks can be run from 0 to {config.depth}")
        over_patches = config.pool in ("mean-patches", "class+mean") or config.prefix == 0
        if lengths is not None and (tokens.shape[:2] != (1, sum(lengths)) or self.training):
            raise ValueError(f"lengths {list(lengths)} need tokens [1, {sum(lengths)}, D] of a model in eval mode")
        if min(lengths or tokens.shape[1:2]) <= config.prefix and over_patches:
            raise ValueError(f"pool {config.pool!r} takes a mean over patches; keep at least one")
        for block in self.blocks[layer:-1]:
            tokens = block(tokens, records, lengths)
        if layer < config.depth:
            tokens = self.blocks[-1](tokens, records, lengths, read)
            lengths = [read] * len(lengths) if lengths and read else lengths
        if records is not None:
            records.append(LayerRecord(tokens))
        if lengths is None:
            return self.classify(tokens)
        return torch.cat([self.classify(sequence) for sequence in tokens.split(list(lengths), dim=1)])

    def classify(self, x: Tensor) -> Tensor:
        """Tokens after the last block [B, n, D] -> logits [B, K] (equation 4)."""
        config = self.config
        if config.pool == "class":  # LayerNorm is per token: normalise only the one that is read
            pooled = self.norm(x[:, 0])
        elif config.pool == "class-distilled":
            pooled = self.norm(x[:, :2])
        elif config.pool == "class+mean":
            x = self.norm(x)
            pooled = torch.cat([x[:, 0], x[:, config.prefix :].mean(1)], dim=-1)
        else:
            x = x if config.norm_after_pool else self.norm(x)
            x = x[:, config.prefix :] if config.pool == "mean-patches" else x
            pooled = self.norm(x.mean(1)) if config.norm_after_pool else x.mean(1)
        if self.pre_logits is not None:
            pooled = torch.tanh(self.pre_logits(pooled))
        if self.head is None:
            return pooled[:, 0] if config.pool == "class-distilled" else pooled
        if self.distillation_head is None:
            return self.head(pooled)
        by_class, by_distillation = self.head(pooled[:, 0]), self.distillation_head(pooled[:, 1])
        if self.training:  # the only place where a pair comes out; types follow the eval mode, which all others read
            return by_class, by_distillation  # pyright: ignore[reportReturnType]
        return (by_class + by_distillation) / 2


class PatchEmbed(nn.Module):
    """Cuts pixels into patches [B, gh*gw, C*ph*pw] and projects each by a linear layer, which is the same thing as the
    convolution, its stride its kernel, that checkpoints hold. With `patch_norms`, LayerNorms on both sides of it.

    Forward and backward together the product by `linear` is the faster one where that is a convolution of one pixel, by
    a twentieth to a third; see BENCHMARKS.md. Where MKL and oneDNN use the same instructions they take about as long.
    """

    def __init__(self, config: ViTConfig):
        super().__init__()
        self.patch_size = config.patch_size
        self.projection = nn.Conv2d(config.channels, config.width, config.patch_size, stride=config.patch_size)
        flat = config.channels * config.patch_size[0] * config.patch_size[1]
        self.norm_before = nn.LayerNorm(flat, 1e-5) if config.patch_norms else None
        self.norm_after = nn.LayerNorm(config.width, 1e-5) if config.patch_norms else nn.Identity()

    def forward(self, pixels: Tensor) -> Tensor:
        (B, C, h, w), (ph, pw) = pixels.shape, self.patch_size
        x = pixels.reshape(B, C, h // ph, ph, w // pw, pw).permute(0, 2, 4, 1, 3, 5)  # [B, gh, gw, C, ph, pw]
        x = x.reshape(B, (h // ph) * (w // pw), C * ph * pw)
        if self.norm_before is not None:
            x = self.norm_before(x)
        x = linear(x, self.projection.weight.flatten(1), self.projection.bias)  # [B, gh*gw, D]
        return self.norm_after(x)


class Block(nn.Module):
    """Pre-norm block: x + attention(LN(x)), then x + mlp(LN(x)) (equations 2 and 3)."""

    def __init__(self, config: ViTConfig, drop_path: float):
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, config.norm_eps)
        self.attention = Attention(config)
        self.norm2 = nn.LayerNorm(config.width, config.norm_eps)
        self.mlp = Mlp(config)
        scale = config.layer_scale
        self.scale1 = nn.Parameter(torch.full((config.width,), scale)) if scale is not None else None
        self.scale2 = nn.Parameter(torch.full((config.width,), scale)) if scale is not None else None
        self.drop_path = drop_path

    def forward(
        self,
        x: Tensor,
        records: list[LayerRecord] | None,
        lengths: Sequence[int] | None = None,
        read: int | None = None,
    ) -> Tensor:
        """Tokens [B, N, D] after the block: all, or the first `read` of each sequence alone. See
        `VisionTransformer.logits_from` for `lengths`."""
        *parts, outputs = self.attention(self.norm1(x), keep=records is not None, lengths=lengths, read=read)
        if records is not None:
            queries, keys, values = parts
            records.append(LayerRecord(x, queries, keys, values, outputs))
        if read is not None:
            x = torch.cat([sequence[:, :read] for sequence in x.split(list(lengths or x.shape[1:2]), dim=1)], dim=1)
        return self.rest(x, outputs)

    def rest(self, x: Tensor, outputs: Tensor) -> Tensor:
        """The block from its head outputs [B, H, n, d] on, for the tokens x [B, n, D] of its input that they belong to:
        projection and MLP take each token by itself."""
        x = self.attended(x, outputs)
        return x + self._branch(self.mlp(self.norm2(x)), self.scale2)

    def attended(self, x: Tensor, outputs: Tensor) -> Tensor:
        """The same up to the MLP (equation 2)."""
        return x + self._branch(self.attention.project(outputs), self.scale1)

    def _branch(self, x: Tensor, scale: Tensor | None) -> Tensor:
        if scale is not None:
            x = x * scale
        if self.drop_path and self.training:  # stochastic depth, one coin a sample
            kept = 1.0 - self.drop_path
            x = x * x.new_empty(len(x), 1, 1).bernoulli_(kept).div_(kept)
        return x


class Attention(nn.Module):
    """Multi-head self-attention: softmax(q k^T / sqrt d) v, fused, so that no [N, N] matrix is ever stored."""

    def __init__(self, config: ViTConfig):
        super().__init__()
        self.heads, self.head_width = config.heads, config.head_width
        self.attention_dropout = config.attention_dropout
        self.qkv = Linear(config.width, 3 * config.width, bias=config.qkv_bias)
        self.projection = Linear(config.width, config.width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, x: Tensor, keep: bool, lengths: Sequence[int] | None = None, read: int | None = None
    ) -> tuple[Tensor, ...]:
        """Head outputs [B, H, n, d] of all tokens, or of the first `read`; with `keep` q, k and v
        of all tokens before it."""
        B, N = x.shape[:2]
        qkv = self.qkv(x).view(B, N, 3, self.heads, self.head_width).permute(2, 0, 3, 1, 4)  # [3, B, H, N, d]
        q, k, v = qkv.unbind(0)
        if lengths is not None:  # of sequences one after the other: each attends to itself
            sequences = zip(*(part.split(list(lengths), dim=2) for part in (q, k, v)), strict=True)
            each = [F.scaled_dot_product_attention(queries[:, :, :read], *others) for queries, *others in sequences]
            out = torch.cat(each, dim=2)
        elif self.training and _unfused_trains_faster(q[:, :, :read]):
            scores = (q[:, :, :read] * self.head_width**-0.5) @ k.transpose(-1, -2)  # [B, H, n, N]
            weights = scores.softmax(-1).to(v.dtype)
            out = (F.dropout(weights, self.attention_dropout) if self.attention_dropout else weights) @ v
        else:
            dropout = self.attention_dropout if self.training else 0.0
            out = F.scaled_dot_product_attention(q[:, :, :read], k, v, dropout_p=dropout)
        return (q, k, v, out) if keep else (out,)

    def project(self, outputs: Tensor) -> Tensor:
        """Head outputs [B, H, n, d] -> what attention adds to the residual stream, [B, n, D]."""
        return self.dropout(self.projection(outputs.transpose(1, 2).flatten(2)))


def _unfused_trains_faster(queries: Tensor) -> bool:
    """Whether the two explicit products beat the fused kernel, forward and backward together: on a CPU in bf16, where
    torch 2.11's fused backward pass is slow (6x at 65 tokens, 3x at 197), while [N, N] matrices are small."""
    return queries.device.type == "cpu" and queries.dtype == torch.bfloat16 and queries.shape[2] <= 1024


class Mlp(nn.Module):
    """Two linear layers around an exact GELU, or SwiGLU: fc2(silu(a) * b) with [a, b] = fc1(x)."""

    def __init__(self, config: ViTConfig):
        super().__init__()
        self.gated = config.mlp == "swiglu"
        self.fc1 = Linear(config.width, config.mlp_width * (2 if self.gated else 1))
        self.fc2 = Linear(config.mlp_width, config.width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fc1(x)
        if self.gated:
            gate, value = x.chunk(2, dim=-1)
            x = F.silu(gate) * value
        else:
            x = F.gelu(x)
        return self.dropout(self.fc2(x))


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):  # as the linear layer that it is
        nn.init.trunc_normal_(module.weight, std=module.weight[0].numel() ** -0.5)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
