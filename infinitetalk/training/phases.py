"""Settings of the transformer's training: what is drawn, how often, and how errors count."""

from __future__ import annotations

from dataclasses import dataclass

from .loop import Every, LoopSettings, Precision
from .references import Conditioning, Strategy


@dataclass(frozen=True)
class Phase:
    """One part of the training.

    share: of the stage's time or steps.
    crop: rows and columns of latent positions cut out around mouth and eyes (even); None for the whole picture.
    mouth_weight, eye_weight: of the mouth's and eyes' latents in the loss, against 1 elsewhere.
    high_noise_share: of the examples, drawn with times in [0.75, 1], where the sound is all there is to go by.
    pure_noise_share: of the examples, drawn at time 1 itself, where few-step sampling does most of its work.
    moving_share: of the examples, from clips whose head or camera moves a lot.
    crops_between: this many of every three steps see cut-outs of `crop_between` instead, four times as many, with
        their mouths weighted a third as much.
    """

    name: str
    share: float
    num_latent_frames: int
    crop: tuple[int, int] | None
    batch_size: int
    mouth_weight: float
    eye_weight: float
    high_noise_share: float
    pure_noise_share: float
    moving_share: float = 0.0
    crops_between: int = 0
    crop_between: tuple[int, int] = (10, 8)


# Of a face that fills a third of the picture's width, a mouth covers one by two or three latent positions: in whole
# pictures it needs a weight that stands for its few positions among 256.
PHASES = (
    Phase("mouths", 0.25, 7, (6, 6), 32, 6.0, 1.0, 0.2, 0.6),
    Phase("faces", 0.30, 9, (10, 8), 10, 12.0, 5.0, 0.2, 0.6, moving_share=0.1),
    Phase("pictures", 0.20, 7, None, 6, 40.0, 14.0, 0.15, 0.7, moving_share=0.15),
    Phase("chunks", 0.25, 21, None, 2, 40.0, 14.0, 0.1, 0.7, moving_share=0.2, crops_between=2),
)


@dataclass(frozen=True)
class TransformerTraining:
    """Settings of the stage.

    seconds, steps: how long; with `steps` given the time has no say.
    audio_pretraining_steps: steps in which the sound's tokens learn, alone, to predict the face's truth
        (`training.audio_pretraining`).
    audio_noise: added to the speech features, whose spread is one: few clips are not to be known by their sound.
    context_noise: added to context latents, which at generation time are generated ones.
    trainable: pattern of parameter names that learn; None: all. For adapters on a finished network.
    reading_weight: of errors in what can be read from latents (`training.probes`).
    picture_weight: of the error of decoded mouths (`training.decoded_crops`), once the decoder is there.
    lips_weight: of what a reader of lips reads wrongly in them (`training.lip_reader`), if there is one.
    motion_labels: whether the network gets labels of what the face does besides speaking (`training.motion_labels`).
    favoured: clips by number that are drawn as often as all others together: those that are drawn worst, for instance.
    dubbed_share: of the examples, in which a clip's mouth says other speech (`training.dubbing`), if there is some.
    closed_weight: of latent frames in which p, b or m shuts the lips throughout, against 1 for all others.
    batch_factor: times each phase's batch size (memory permitting: on a GPU).
    """

    seconds: float = 3600.0
    steps: int | None = None
    rate: float = 1.2e-3
    weight_decay: float = 0.01
    audio_rate_factor: float = 1.5
    audio_dropout: float = 0.1
    image_dropout: float = 0.1
    audio_noise: float = 0.2
    context_noise: float = 0.06
    average_decay: float = 0.997
    audio_pretraining_steps: int = 400
    dim: int = 192
    num_layers: int = 6
    num_heads: int = 6
    context_tokens: int = 8
    reference: Strategy = "M3"
    conditioning: Conditioning = "sparse"
    phases: tuple[Phase, ...] = PHASES
    trainable: str | None = None
    reading_weight: float = 0.12
    picture_weight: float = 0.0
    lips_weight: float = 0.0
    motion_labels: bool = False
    favoured: tuple[int, ...] = ()
    dubbed_share: float = 0.5
    closed_weight: float = 2.5
    batch_factor: int = 1
    precision: Precision = "no"
    report_seconds: float = 60.0
    seed: int = 3

    def loop(self) -> LoopSettings:
        """These settings as the training loop wants them."""
        return LoopSettings(
            num_steps=self.steps,
            seconds=None if self.steps is not None else self.seconds,
            rate=self.rate,
            warm_up_steps=100,
            weight_decay=self.weight_decay,
            average_decay=self.average_decay,
            precision=self.precision,
            log=Every(steps=25),
            report=Every(seconds=self.report_seconds),
            save=Every(seconds=120.0),
            seed=self.seed,
        )

    def phase_at(self, progress: float) -> Phase:
        """The phase that stands at a share of the budget."""
        whole = sum(phase.share for phase in self.phases)
        end = 0.0
        for phase in self.phases:
            end += phase.share / whole
            if progress < end:
                return phase
        return self.phases[-1]
