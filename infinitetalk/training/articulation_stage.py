"""Stage `articulation`: a finished speech encoder learns to put speech as mouth shapes, and nothing else.

Afterwards its features are a linear map of a few shapes (`models.audio_encoder.Articulation`).  The stage `features`
then gives the transformer the features of the *true* shapes of its clips, so that pictures and sound agree frame by
frame and the mouth is learnt sharp and fully open; when a film is made the shapes come from the voice.  Errors of
recognising speech and drawing it are apart, each learnt from what teaches it best: speech from any amount of speech
without pictures, drawing from faces.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthetic_people.phones import PHONE_GROUPS
from synthetic_people.visemes import PRESS

from ..models.audio_encoder import SpeechEncoder, nano_speech_config
from .audio_stage import AudioTraining, Standard, correlation, group_entropy, sample_batch
from .loop import Draw, Every, LoopSettings, fit
from .speech_data import SpeechSet

CLOSED_PERCENTILE = 0.3
_SHUT_JAW = 0.08  # below it lips hardly part
_MOST_EXCERPTS = 400  # that the way back from shapes to features is fitted to


@dataclass(frozen=True)
class ArticulationTraining:
    """Settings of the stage; `speech`: what is drawn of the speech, and how its errors count.

    group_weight: of classifying what is spoken from the encoder's layers, frame by frame, against the mouth shapes'
        error. p, b and m are audible before they are visible; the classifier of them is thrown away.
    encoder_rate: of the encoder itself, whose layers learn on, as a share of the rate.
    viseme_gain: times so far from their mean the shapes are moved when all is learnt. Predicted mouths move less than
        true ones do, and a transformer that was trained on richer features answers to shapes alone less than it should.
        1 for one that was trained on them.
    new_encoder: channels and layers of a new encoder that learns in the given one's place; None: that one learns on.
    press: how much of the pressing of lips that is predicted is taken off the jaw, when all is learnt: of p, b and m it
        is the surer sign.
    """

    seconds: float | None = 900.0
    num_steps: int | None = None
    rate: float = 1.5e-3
    encoder_rate: float = 0.5
    group_weight: float = 0.15
    weight_decay: float = 0.02
    viseme_gain: float = 1.0
    press: float = 0.7
    new_encoder: tuple[int, int] | None = None
    speech: AudioTraining = AudioTraining(closure_weight=4.0)
    seed: int = 6


def train_articulation(
    data: SpeechSet, out: Path, settings: ArticulationTraining, start_from: Path
) -> dict[str, float]:
    """Train, export to `out/audio_encoder`, return the held-out figures.

    start_from: folder of a finished speech encoder. One that has an articulation keeps its way back to features, so
    that a transformer that reads them goes on working.
    """
    torch.manual_seed(settings.seed)
    shapes = data.shapes[data.indices(test=False)]
    everything = Standard(
        shapes.mean(axis=(0, 1)), np.maximum(shapes.std(axis=(0, 1)), 1e-2), np.ones(shapes.shape[2], bool)
    )
    encoder = with_articulation(SpeechEncoder.from_pretrained(start_from), data)
    if settings.new_encoder is not None:
        encoder = replaced(encoder, *settings.new_encoder)
    spread, center = (torch.from_numpy(np.float32(each)) for each in (everything.spread, everything.center))
    weights = torch.ones(len(spread))
    weights[0] = settings.speech.jaw_weight
    encoder.articulation.say.requires_grad_(False)
    model = _Listener(encoder)
    closed = (_SHUT_JAW - everything.center[0]) / everything.spread[0]

    def loss(draw: Draw) -> tuple[Tensor, dict[str, Tensor]]:
        signals, shapes, groups = sample_batch(data, everything, settings.speech, draw.rng)
        signals, shapes, groups = (each.to(draw.device) for each in (signals, shapes, groups))
        read, logits = model(signals, shapes.shape[1])
        read = (read - center.to(read)) / spread.to(read)
        error = F.smooth_l1_loss(read, shapes, reduction="none", beta=1.0)
        shut = ((groups == 1) | (groups == 2)) & (shapes[..., 0] < closed)
        error = error * (1 + (settings.speech.closure_weight - 1) * shut)[..., None]
        error = (error * weights.to(error)).mean()
        entropy = group_entropy(logits, groups)
        return error + settings.group_weight * entropy, {"shapes": error.detach(), "groups": entropy.detach()}

    result = fit(
        model, loss,
        LoopSettings(
            num_steps=settings.num_steps, seconds=settings.seconds, rate=settings.rate,
            weight_decay=settings.weight_decay, average_decay=0.995, report=Every(seconds=60.0),
            save=Every(seconds=120.0), seed=settings.seed,
        ),
        out / "stages" / "articulation", report=lambda step: heard_figures(encoder, data),
        rates=[]
        if settings.new_encoder is not None
        else [(f"encoder.{part}", settings.encoder_rate) for part in ("feature_", "encoder.")],
    )  # fmt: skip
    with torch.no_grad():
        last, mean = encoder.articulation.hear[-1], center.to(encoder.device)
        if last.out_channels > PRESS:
            last.weight[0] -= settings.press * last.weight[PRESS]
            last.bias[0] -= settings.press * (last.bias[PRESS] - mean[PRESS])
        last.weight.mul_(settings.viseme_gain)
        last.bias.copy_(mean + settings.viseme_gain * (last.bias - mean))
    encoder.save_pretrained(out / "audio_encoder")
    return result.figures


class _Listener(nn.Module):
    """The encoder, and a reader of what is spoken."""

    def __init__(self, encoder: SpeechEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.groups = nn.Linear(encoder.num_inputs, len(PHONE_GROUPS))

    def forward(self, signals: Tensor, num_frames: int) -> tuple[Tensor, Tensor]:
        """Signals [B,S] to mouth shapes [B,F,K] and logits of phoneme groups [B,F,G]."""
        layers = self.encoder(signals, num_frames, articulated=False)
        return self.encoder.articulation.shapes(layers), self.groups(layers.flatten(2))


def with_articulation(encoder: SpeechEncoder, data: SpeechSet) -> SpeechEncoder:
    """The encoder with an articulation; a new one answers with the features that its shapes usually go with."""
    if encoder.articulation is not None:
        return encoder
    config = encoder.config
    config.num_mouth_shapes = data.shapes.shape[2]
    wider = SpeechEncoder(config)
    new = {f"articulation.{name}": value for name, value in wider.articulation.state_dict().items()}
    wider.load_state_dict({**encoder.state_dict(), **new})  # strict: nothing but the articulation is new
    weight, bias = usual_features(encoder, data)
    shapes = torch.from_numpy(data.shapes[data.indices(test=False)]).flatten(0, 1)
    with torch.no_grad():
        wider.articulation.say.weight.copy_(weight)
        wider.articulation.say.bias.copy_(bias)
        last = wider.articulation.hear[-1]  # starts at the mean mouth, moving as far as mouths do
        last.weight.mul_(shapes.std(dim=0)[:, None, None])
        last.bias.copy_(shapes.mean(dim=0))
    return wider.eval()


def replaced(encoder: SpeechEncoder, num_channels: int, num_layers: int) -> SpeechEncoder:
    """An untrained encoder of this size, whose articulation gives the features that the given one's gives."""
    config = nano_speech_config(num_channels, num_layers, num_heads=max(1, num_channels // 16))
    config.num_mouth_shapes = encoder.config.num_mouth_shapes
    config.spoken_layers, config.spoken_channels = encoder.num_layers, encoder.num_channels
    new = SpeechEncoder(config)
    new.start_from_filters()
    old = encoder.articulation
    new.articulation.say.load_state_dict(old.say.state_dict())
    with torch.no_grad():
        new.articulation.hear[-1].weight.copy_(old.hear[-1].weight)
        new.articulation.hear[-1].bias.copy_(old.hear[-1].bias)
    return new


@torch.no_grad()
def usual_features(encoder: SpeechEncoder, data: SpeechSet) -> tuple[Tensor, Tensor]:
    """Weight [L*C, K] and bias of the linear map from mouth shapes to features that explains most of these."""
    chosen = data.indices(test=False)[:_MOST_EXCERPTS]
    products, moments = 0.0, 0.0
    for index in chosen:
        features = encoder.embed(data.samples(int(index)), data.num_frames).flatten(1).double()
        shapes = torch.from_numpy(data.shapes[index]).double()
        shapes = torch.cat([shapes, torch.ones(len(shapes), 1)], dim=1)
        products, moments = products + shapes.T @ features, moments + shapes.T @ shapes
    solution = torch.linalg.solve(moments + 1e-3 * torch.eye(len(moments)), products).float()
    return solution[:-1].T.contiguous(), solution[-1].contiguous()


@torch.no_grad()
def heard_figures(encoder: SpeechEncoder, data: SpeechSet) -> dict[str, float]:
    """Of held-out voices: correlation of the jaw and of all shapes that move, and shut lips.

    spread: of the jaw, as a share of the true one. lips_closed: of the frames of p, b and m, those in which the jaw
    lies below the excerpt's 30th percentile.
    """
    device = next(encoder.parameters()).device
    jaw, every, spread, closed = [], [], [], []
    for index in data.indices(test=True):
        signal = torch.from_numpy(data.samples(int(index)))[None].to(device)
        layers = encoder(signal, data.num_frames, articulated=False)
        read, truth = encoder.articulation.shapes(layers)[0].cpu(), torch.from_numpy(data.shapes[index])
        jaw.append(correlation(read[:, 0], truth[:, 0]))
        moves = truth.std(dim=0) > 1e-3
        every.append(correlation(read.T[moves], truth.T[moves]).mean())
        spread.append(read[:, 0].std() / truth[:, 0].std().clamp(min=1e-3))
        if data.groups is not None:
            groups = torch.from_numpy(data.groups[index].astype(np.int64))
            shut = ((groups == 1) | (groups == 2)) & (truth[:, 0] < 0.05)
            if shut.any():
                closed.append((read[shut, 0] < torch.quantile(read[:, 0], CLOSED_PERCENTILE)).float().mean())
    figures = {"jaw": jaw, "shapes": every, "jaw_spread": spread, "lips_closed": closed}
    return {name: float(torch.stack(values).mean()) for name, values in figures.items() if values}
