"""Nano's video autoencoder: a code of what moves, and a decoder that moves the user's own picture by it.

Frames of 128x128 pixels become Wan's geometry of latents (4k+1 frames to k+1 latent frames, the first frame alone,
causal in time, 16 channels, 8x8 pixels per latent).  Latents become frames of 256x256 pixels with the reference
picture at hand: the decoder works on the *difference* from the reference's latent and answers with three things, a
flow that says where in the reference each pixel comes from, a painting of what the reference does not show (an open
mouth, a closed lid), and a mask between the two.  So eyes, hair, clothes and background are the photograph's own.

Built in rather than learnt:

* The latent of a group is a code of its mean picture plus a code of the differences from that mean; the second
  part has no biases, so a still video has the same latent in every latent frame as its first frame alone.
* Everything the decoder does is a bias-free function of the difference from the reference's latent, modulated by
  features of the reference.  No difference: no flow, no painting, the reference itself.

Groups are encoded one by one.  The decoder sees a group, the one before and the one after it, from whose means it
says what happens within the group.

Shape legend: B batch, F frames (4k+1), T latent frames (k+1), N groups or frames, H W pixels of the encoder's
picture, h=H/8 w=W/8, C channels.  Flow is in pixels of the reference picture, (columns, rows).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput, IdentityDistribution
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from ..config.constants import VAE_TEMPORAL_STRIDE
from .nano_encoder import PATCH, FrameGroupEncoder, ResidualBlock, in_groups, zeroed

PICTURE_SCALE = 2  # pixels of a decoded picture per pixel that is encoded, along each side
GROUPS_PER_DECODER_PASS = 2  # bounds memory, not the result; few, so that features stay in the processor's cache
FINE_DIM = 16  # features of a frame at a quarter of the decoded picture's resolution
_LONGEST_FLOW = 24.0  # pixels of the reference
_BOX_STEP = 16  # positions at a quarter of the decoded resolution
_INVISIBLE = 0.002  # a mask below this changes no colour by a step of 255


class NanoVAE(ModelMixin, ConfigMixin):
    """Deterministic video autoencoder with the interface of `AutoencoderKLWan`, but for the reference in `decode`.

    `encode(video).latent_dist.mode()` and `decode(latents, reference).sample` use raw latents; callers normalise with
    `config.latents_mean` and `config.latents_std`, as with Wan's.  All entries of `latents_std` are equal: scaling
    channel by channel would let the fine-detail channels dominate the transformer's loss.

    config.latent_rgb: [17][3], a linear map from normalised latents and 1 to colours in [-1,1], for previews.
    """

    _supports_gradient_checkpointing = False

    @register_to_config
    def __init__(
        self,
        z_dim: int = 16,
        encoder_dim: int = 96,
        group_dim: int = 96,
        frame_dim: int = 64,
        half_dim: int = 40,
        quarter_dim: int = 24,
        painter_dim: int = 160,
        latents_mean: tuple[float, ...] = (0.0,) * 16,
        latents_std: tuple[float, ...] = (1.0,) * 16,
        latent_rgb: tuple[tuple[float, ...], ...] = (),
        scale_factor_spatial: int = PATCH,
        scale_factor_temporal: int = VAE_TEMPORAL_STRIDE,
        decoder_upscale: int = PICTURE_SCALE,
    ) -> None:
        super().__init__()
        self.encoder = FrameGroupEncoder(z_dim, encoder_dim)
        self.decoder = ReferenceDecoder(z_dim, group_dim, frame_dim, half_dim, quarter_dim, painter_dim)

    def arrange_weights(self) -> None:
        """Once they are there: channels last, in which a processor decodes a sixth faster."""
        self.decoder.to(memory_format=torch.channels_last)

    def encode(self, x: Tensor, return_dict: bool = True) -> AutoencoderKLOutput | tuple[IdentityDistribution]:
        """Encode video [B,3,F,H,W] in [-1,1], F = 4k+1, H and W multiples of 8, to raw latents [B,16,k+1,h,w]."""
        batch, _, num_frames, height, width = x.shape
        assert num_frames % VAE_TEMPORAL_STRIDE == 1, f"video of {num_frames} frames, expected 4k+1"
        assert height % PATCH == 0 and width % PATCH == 0, f"{height}x{width} pixels, expected multiples of {PATCH}"
        features, patches = self.encoder.frame_features(x.transpose(1, 2).reshape(-1, 3, height, width))
        features = features.unflatten(0, (batch, num_frames))
        patches = patches.unflatten(0, (batch, num_frames))
        first = self.encoder.group_latents(features[:, :1], patches[:, :1])[:, None]
        groups = self.encoder.group_latents(in_groups(features[:, 1:]), in_groups(patches[:, 1:]))
        latents = torch.cat([first, groups.unflatten(0, (batch, -1))], dim=1).transpose(1, 2)
        distribution = IdentityDistribution(latents)
        return AutoencoderKLOutput(latent_dist=distribution) if return_dict else (distribution,)

    def encode_picture(self, picture: Tensor) -> Tensor:
        """Raw latent [B,16,h,w] of a picture [B,3,2H,2W] as large as decoded ones."""
        return self.encode(shrink(picture)[:, :, None]).latent_dist.mode()[:, :, 0]

    def decode(
        self, z: Tensor, reference: Tensor, return_dict: bool = True, *, skip_frames: int = 0
    ) -> DecoderOutput | tuple[Tensor]:
        """Decode raw latents [B,16,T,h,w] to video [B,3,4(T-1)+1,2H,2W], unclamped.

        reference: [B,3,2H,2W] in [-1,1], the sharp picture that the video's content is taken from; or [B,3,F,2H,2W],
            that picture as every frame would show it if only its camera or a body moved (`ControlInputs.expected`).
        skip_frames: so many at the start are not wanted; those of whole groups are left grey.
        """
        skip_groups = (skip_frames + VAE_TEMPORAL_STRIDE - 1) // VAE_TEMPORAL_STRIDE  # the first stands for one frame
        moving = reference.ndim == 5
        if moving:
            reference_latents = self.encode(shrink(reference.transpose(1, 2)).transpose(1, 2)).latent_dist.mode()
        else:
            reference_latents = self.encode_picture(reference)[:, :, None]
        differences = (z - reference_latents).transpose(1, 2)  # [B,T,16,h,w]
        batch, num_groups = differences.shape[:2]
        # One film is as large as all the rest of the work together: it is held once, and written part by part.
        video = reference.new_empty(batch, num_groups * VAE_TEMPORAL_STRIDE, 3, *reference.shape[-2:])
        video[:, : skip_groups * VAE_TEMPORAL_STRIDE] = 0
        for index, (own, pictures, latents) in enumerate(
            zip(differences, reference, reference_latents.transpose(1, 2), strict=True)
        ):
            around = (own, *neighbours(own))
            fixed = None if moving else self.decoder.reference_features(pictures[None], latents)
            for first in range(skip_groups, num_groups, GROUPS_PER_DECODER_PASS):
                part = slice(first, first + GROUPS_PER_DECODER_PASS)
                features = self._features_along(pictures, latents[part], first) if moving else fixed
                frames = self.decoder(*(each[part] for each in around), features).frames
                start = first * VAE_TEMPORAL_STRIDE
                video[index, start : start + len(frames)] = frames
        # The first latent frame stands for the last frame of its group alone.
        video = video[:, VAE_TEMPORAL_STRIDE - 1 :].transpose(1, 2)
        return DecoderOutput(sample=video) if return_dict else (video,)

    def _features_along(self, pictures: Tensor, latents: Tensor, first: int) -> ReferenceFeatures:
        """What the decoder knows of some groups' own pictures.

        pictures: [3,F,2H,2W], of the whole video. latents: [N,16,h,w], of its groups from number `first` on.
        """
        frames = VAE_TEMPORAL_STRIDE * (first + torch.arange(len(latents)))[:, None] + torch.arange(
            1, 1 + VAE_TEMPORAL_STRIDE
        )
        frames = (frames - VAE_TEMPORAL_STRIDE).clamp(min=0)  # the first group is the first frame alone
        middles = pictures[:, frames[:, 1]].transpose(0, 1)
        features = self.decoder.reference_features(middles, latents)
        return replace(features, picture=pictures[:, frames.flatten()].transpose(0, 1))


@dataclass(frozen=True)
class ReferenceFeatures:
    """What the decoder knows of one or more reference pictures.

    picture: [B,3,2H,2W], or one for every frame. latent: [B,16,h,w]. whole, half, quarter: features at h, 2h and 4h.
    """

    picture: Tensor
    latent: Tensor
    whole: Tensor
    half: Tensor
    quarter: Tensor


@dataclass(frozen=True)
class Moved:
    """Decoded frames [N,3,2H,2W] and what they are made of.

    moved: [N,3,2H,2W], the reference where `flow` [N,2,4h,4w] takes it. mask: [N,1,...], how much is painted.
    """

    frames: Tensor
    moved: Tensor
    flow: Tensor
    mask: Tensor
    paint: Tensor | None


class ReferenceDecoder(nn.Module):
    """Differences from the reference's latent, and the reference, to frames."""

    def __init__(
        self, z_dim: int, group_dim: int, frame_dim: int, half_dim: int, quarter_dim: int, painter_dim: int
    ) -> None:
        super().__init__()
        # The reference, once per chunk: at 4h (4x4 pixels each), 2h and h.
        self.see_quarter = nn.Sequential(nn.Conv2d(48, quarter_dim, 3, padding=1), PlainBlock(quarter_dim))
        self.see_half = nn.Sequential(nn.Conv2d(4 * quarter_dim, half_dim, 1), PlainBlock(half_dim))
        self.see_whole = nn.Sequential(
            nn.Conv2d(4 * half_dim + z_dim, group_dim, 3, padding=1), PlainBlock(group_dim), PlainBlock(group_dim)
        )
        # Groups, at h.
        self.groups_in = nn.Conv2d(3 * z_dim, group_dim, 3, padding=1, bias=False)
        self.groups_gate = nn.Conv2d(group_dim, group_dim, 3, padding=1)
        self.group_block = GatedBlock(group_dim, group_dim)
        self.group_block2 = GatedBlock(group_dim, group_dim)
        self.to_frames = nn.Conv2d(group_dim, VAE_TEMPORAL_STRIDE * frame_dim, 1, bias=False)
        # Frames, at h, 2h and 4h: where everything comes from, and where it is not known.
        self.frame_block = GatedBlock(frame_dim, group_dim)
        self.to_half = nn.Conv2d(frame_dim, 4 * half_dim, 1, bias=False)
        self.half_flow = zeroed(nn.Conv2d(half_dim, 2, 3, padding=1, bias=False))
        self.half_moved = nn.Conv2d(half_dim, half_dim, 1, bias=False)
        self.half_block = GatedBlock(half_dim, half_dim)
        self.to_quarter = nn.Conv2d(half_dim, 4 * quarter_dim, 1, bias=False)
        self.quarter_flow = zeroed(nn.Conv2d(quarter_dim, 2, 3, padding=1, bias=False))
        self.quarter_moved = nn.Conv2d(quarter_dim, quarter_dim, 1, bias=False)
        self.quarter_block = GatedBlock(quarter_dim, quarter_dim)
        self.to_mask = nn.Conv2d(quarter_dim, 4, 1, bias=False)
        self.mask_threshold = nn.Parameter(torch.full((4, 1, 1), 0.15))  # below it nothing is painted
        self.active_group, self.active_frame = Activation(group_dim), Activation(frame_dim)
        self.active_half, self.active_quarter = Activation(half_dim), Activation(quarter_dim)
        self.active = Activation(quarter_dim)
        # The painting at 8h, and what is added to it at 16h.
        self.painter = Painter(z_dim, painter_dim)
        self.to_fine = nn.Conv2d(FINE_DIM + 2 * quarter_dim, 4 * 16, 1)
        self.fine = nn.Conv2d(16, 16, 3, padding=1)
        self.to_paint = zeroed(nn.Conv2d(16, 3 * 4, 3, padding=1))
        # Differences are small and lose half at every activation; a mask that starts at nothing would stay there.
        for layer, gain in ((self.groups_in, 6.0), (self.to_frames, 3.0), (self.to_half, 3.0), (self.to_quarter, 3.0),
                            (self.to_mask, 3.0)):  # fmt: skip
            nn.init.normal_(layer.weight, std=gain * (layer.weight[0].numel() ** -0.5) / 3**0.5)

    def reference_features(self, picture: Tensor, latent: Tensor) -> ReferenceFeatures:
        """Features of reference pictures [B,3,2H,2W] with latents [B,16,h,w]."""
        quarter = self.see_quarter(F.pixel_unshuffle(picture, 4))
        half = self.see_half(F.pixel_unshuffle(quarter, 2))
        whole = self.see_whole(torch.cat([F.pixel_unshuffle(half, 2), latent], dim=1))
        return ReferenceFeatures(picture, latent, whole, half, quarter)

    def forward(self, differences: Tensor, before: Tensor, after: Tensor, features: ReferenceFeatures) -> Moved:
        """Differences [N,16,h,w] of groups, and of the groups before and after them, to 4N frames.

        features: of one picture for all groups, or of one picture for each.
        """
        # 1. What happens in the group, at h.
        hidden = self.groups_in(torch.cat([differences, before, after], dim=1)) * (1 + self.groups_gate(features.whole))
        hidden = self.group_block2(self.group_block(hidden, features.whole), features.whole)
        hidden = self.to_frames(self.active_group(hidden)).unflatten(1, (VAE_TEMPORAL_STRIDE, -1)).flatten(0, 1)
        whole, half, quarter, picture = (
            _for_frames(each, len(hidden))
            for each in (features.whole, features.half, features.quarter, features.picture)
        )
        hidden = self.frame_block(hidden, whole)

        # 2. Roughly where everything comes from, at 2h.
        hidden = F.pixel_shuffle(self.to_half(self.active_frame(hidden)), 2)
        flow = _LONGEST_FLOW * torch.tanh(self.half_flow(F.silu(hidden)).float())
        arrived = warp(half, flow / 8)
        hidden = self.half_block(hidden + self.half_moved(arrived - half), arrived)

        # 3. Finely, at 4h, and where the reference does not show it.
        hidden = F.pixel_shuffle(self.to_quarter(self.active_half(hidden)), 2)
        finer = torch.tanh(self.quarter_flow(self.active_quarter(hidden)).float())
        flow = _enlarge(flow, 2) + 0.25 * _LONGEST_FLOW * finer
        arrived = warp(quarter, flow / 4)
        hidden = self.quarter_block(hidden + self.quarter_moved(arrived - quarter), arrived)
        active = self.active(hidden)
        unknown = F.relu(self.to_mask(active).abs() - self.mask_threshold.abs())
        unknown = unknown.square() / (unknown + 0.1)  # none where nothing differs, nearly linear beyond
        unknown = F.pixel_shuffle(unknown / (1 + unknown), 2)

        # 4. The picture: the reference moved, and painted over.
        moved = warp(picture, _enlarge(flow, 4))
        latents = [each + features.latent for each in (differences, before, after)]
        brush = torch.cat([self.painter(*latents), active, arrived], dim=1)
        patches = self.painter.patches(latents[0])
        if torch.is_grad_enabled():
            mask, paint = _enlarge(unknown, 2), self._paint(brush, patches)
            return Moved(torch.lerp(moved, paint.to(moved.dtype), mask.to(moved.dtype)), moved, flow, mask, paint)
        return Moved(self._paint_over(moved, unknown, brush, patches), moved, flow, unknown, None)

    def _paint(self, brush: Tensor, patches: Tensor) -> Tensor:
        """Colours [4N,3,16h,16w] for whatever the reference may not show.

        brush: [4N,C,4h,4w]. patches: [N,3,8h,8w], a linear code's idea of each group.
        """
        rough = self.painter.pixels(brush[:, :FINE_DIM])
        rough = (rough.unflatten(0, (-1, VAE_TEMPORAL_STRIDE)) + patches[:, None]).flatten(0, 1)
        fine = F.pixel_shuffle(F.silu(self.to_fine(brush)), 2)
        return _enlarge(rough, 2) + F.pixel_shuffle(self.to_paint(F.silu(self.fine(fine))), 2)

    def _paint_over(self, moved: Tensor, unknown: Tensor, brush: Tensor, patches: Tensor) -> Tensor:
        """`moved` with the painting where it shows at all: a mouth and two eyes are a tenth of most pictures."""
        # At 4h, and a position around it, because enlarging spreads the mask.
        needed = F.max_pool2d(F.max_pool2d(unknown.amax(dim=0), 2), 3, stride=1, padding=1)[0] > _INVISIBLE
        if not needed.any():
            return moved
        result = moved.clone()
        for top, bottom, left, right in _boxes(needed):
            # Wide enough that what lies beyond has no part in the pixels that are kept.
            up, down = _widened(top - 3, bottom + 3, needed.shape[0])
            before, after = _widened(left - 3, right + 3, needed.shape[1])
            twice = (..., slice(2 * up, 2 * down), slice(2 * before, 2 * after))
            paint = self._paint(brush[..., up:down, before:after], patches[twice])
            mask = _enlarge(unknown[twice], 2)
            inner = (..., slice(4 * top, 4 * bottom), slice(4 * left, 4 * right))
            kept = (..., slice(4 * (top - up), 4 * (bottom - up)), slice(4 * (left - before), 4 * (right - before)))
            result[inner] = torch.lerp(moved[inner], paint[kept].to(moved.dtype), mask[kept].to(moved.dtype))
        return result


class Painter(nn.Module):
    """Latents to features of frames at 4h, from which pictures of 8h are painted; knows nothing of a reference."""

    def __init__(self, z_dim: int, dim: int) -> None:
        super().__init__()
        frame_dim, half_dim = dim * 3 // 5, dim * 3 // 10
        self.latent_to_patch = nn.Conv2d(z_dim, 3 * PATCH * PATCH, 1)  # a linear code next to the network's
        self.latent_in = nn.Conv2d(3 * z_dim, dim, 3, padding=1)
        self.group_block = ResidualBlock(dim)
        self.mixed_block = ResidualBlock(dim)
        self.to_frames = nn.Conv2d(dim, VAE_TEMPORAL_STRIDE * frame_dim, 1)
        self.frame_block = ResidualBlock(frame_dim)
        self.split = nn.Conv2d(frame_dim, 4 * half_dim, 1)  # to 2x2 positions, at 2h
        self.half_block = ResidualBlock(half_dim)
        self.to_fine = nn.Conv2d(half_dim, 4 * FINE_DIM, 3, padding=1)  # to 2x2 positions, at 4h
        self.fine = nn.Conv2d(FINE_DIM, FINE_DIM, 3, padding=1)
        self.to_pixels = zeroed(nn.Conv2d(FINE_DIM, 3 * 4, 3, padding=1))

    def forward(self, latents: Tensor, before: Tensor, after: Tensor) -> Tensor:
        """Latents [N,16,h,w] of groups, and of those before and after them, to frames' features [4N,16,4h,4w]."""
        hidden = self.mixed_block(self.group_block(self.latent_in(torch.cat([latents, before, after], dim=1))))
        hidden = self.to_frames(F.silu(hidden)).unflatten(1, (VAE_TEMPORAL_STRIDE, -1)).flatten(0, 1)
        hidden = F.pixel_shuffle(self.split(F.silu(self.frame_block(hidden))), 2)
        return F.silu(F.pixel_shuffle(self.to_fine(F.silu(self.half_block(hidden))), 2))

    def patches(self, latents: Tensor) -> Tensor:
        """Pictures [N,3,8h,8w] by the linear code alone."""
        return F.pixel_shuffle(self.latent_to_patch(latents), PATCH)

    def pixels(self, features: Tensor) -> Tensor:
        """What is to be added to those, [4N,3,8h,8w]."""
        return F.pixel_shuffle(self.to_pixels(F.silu(self.fine(features))), 2)


def _boxes(needed: Tensor) -> list[tuple[int, int, int, int]]:
    """Boxes (top, bottom, left, right), one above the other, that hold every true position of [h,w]."""
    rows = needed.any(dim=1).tolist()
    starts = [r for r, here in enumerate(rows) if here and (r == 0 or not rows[r - 1])]
    stops = [r + 1 for r, here in enumerate(rows) if here and (r + 1 == len(rows) or not rows[r + 1])]
    boxes = []
    for top, bottom in zip(starts, stops, strict=True):
        columns = needed[top:bottom].any(dim=0).nonzero()
        boxes.append((top, bottom, int(columns[0]), int(columns[-1]) + 1))
    return boxes


def _widened(start: int, stop: int, size: int) -> tuple[int, int]:
    """A span of at least that width within 0..size, of a few widths only: libraries keep plans for every shape."""
    start, stop = max(0, start), min(stop, size)
    width = min(size, -(-(stop - start) // _BOX_STEP) * _BOX_STEP)
    start = min(start, size - width)
    return start, start + width


class PlainBlock(ResidualBlock):
    """A residual block whose second convolution starts as any other: for features that nothing else computes."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        self.conv_out.reset_parameters()


class Activation(nn.Module):
    """SiLU with a threshold of its own for every channel, moved so that zero stays zero."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.threshold = nn.Parameter(torch.zeros(dim, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(x + self.threshold) - F.silu(self.threshold)


class GatedBlock(nn.Module):
    """A residual block that keeps zero zero; features of the reference scale what it adds."""

    def __init__(self, dim: int, gate_dim: int) -> None:
        super().__init__()
        self.active_in = Activation(dim)
        self.conv_in = nn.Conv2d(dim, dim, 3, padding=1, bias=False)
        self.active_out = Activation(dim)
        self.gate = nn.Conv2d(gate_dim, dim, 1)
        self.conv_out = nn.Conv2d(dim, dim, 3, padding=1, bias=False)

    def forward(self, x: Tensor, gating: Tensor) -> Tensor:
        return x + self.conv_out(self.active_out(self.conv_in(self.active_in(x))) * (1 + self.gate(gating)))


def neighbours(groups: Tensor) -> tuple[Tensor, Tensor]:
    """What stands before and after each of [T,...]: beyond the ends the end itself, as in a still video.

    The first latent frame is of a single picture, which is on its way nowhere: what follows it says nothing of it.
    """
    before = torch.cat([groups[:1], groups[:-1]])
    after = torch.cat([groups[:1], groups[2:], groups[-1:]]) if len(groups) > 1 else groups
    return before, after


def warp(picture: Tensor, flow: Tensor) -> Tensor:
    """`picture` [N,C,h,w] taken from where `flow` [N,2,h,w] points, in its own pixels; beyond the edge the edge.

    `flow` is float32 whatever the rest computes in: half a precision would move by whole pixels.
    """
    height, width = flow.shape[2:]
    rows = torch.arange(height, dtype=flow.dtype, device=flow.device)
    columns = torch.arange(width, dtype=flow.dtype, device=flow.device)
    # Positions from -1 to 1 between the outer edges of the outer pixels.
    columns = (columns + flow[:, 0] + 0.5) * (2 / width) - 1
    rows = (rows[:, None] + flow[:, 1] + 0.5) * (2 / height) - 1
    grid = torch.stack([columns, rows], dim=-1)
    return F.grid_sample(picture.to(grid.dtype), grid, mode="bilinear", padding_mode="border", align_corners=False)


def shrink(pictures: Tensor) -> Tensor:
    """Pictures as they are decoded [...,2H,2W] to the size that is encoded [...,H,W], by means of 2x2 pixels."""
    return F.avg_pool2d(pictures.flatten(0, -3), PICTURE_SCALE).unflatten(0, pictures.shape[:-2])


def _for_frames(features: Tensor, num_frames: int) -> Tensor:
    """[B,...] of each group's reference, or of one for all, to [num_frames,...]; one for all costs no memory.

    Those of every frame are as they are to be.
    """
    if len(features) == num_frames:
        return features
    if len(features) == 1:
        return features.expand(num_frames, -1, -1, -1)
    return features.repeat_interleave(VAE_TEMPORAL_STRIDE, dim=0)


def _enlarge(x: Tensor, factor: int) -> Tensor:
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
