"""Synthetic talking heads with exact truth, to train and measure `nano` where no real footage is at hand.

`python -m synthetic_people --out DIR --clips N --seed S --workers 2` renders a folder of clips; its
format is described at the head of `clips.py`. Nothing here is imported when a video is made: it needs
requirements-train.txt and Debian's flite and espeak-ng.

Read in this order: `clips.py` (what a clip is), `motion.py` (how a head moves with its speech), `people.py` (one
person, one frame). Looks: `heads.py` (geometry), `skin.py`, `hairstyles.py` and `hair.py`, `outfit.py` (clothes,
headwear, glasses), `lights.py`, `backdrop.py`, `photograph.py` (what a camera makes of it). Drawing: `render.py`
(triangles to samples), `shading.py` (samples to light), `hull.py` (a head as a height map, soft shadows),
`skeleton.py` (joints). Speech: `tracks.py`, `voices.py`, `prosody.py`, `visemes.py`, `sentences.py`.
"""
