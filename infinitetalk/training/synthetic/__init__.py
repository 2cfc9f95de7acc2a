"""Synthetic talking heads with exact truth, to train and measure `nano` where no real footage is at hand.

`python -m infinitetalk.training.synthetic --out DIR --clips N --seed S --workers 2` renders a folder of clips; its
format is described at the head of `clips.py`. Nothing here is imported when a video is made: it needs
requirements-train.txt and Debian's flite and espeak-ng.

Read in this order: `clips.py` (what a clip is), `people.py` (one person, one frame), `heads.py` (geometry),
`looks.py` (colours, light, background), `render.py` (triangles to pixels), `voices.py` (speech with phoneme times),
`visemes.py` (phonemes to mouth shapes), `sentences.py`.
"""
