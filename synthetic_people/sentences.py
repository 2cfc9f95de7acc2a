"""Sentences to be spoken: English templates filled at random, rich in p, b, m and in open vowels; other languages."""

from __future__ import annotations

import numpy as np

from .languages import ORDERS, PHRASES, USUAL_ORDERS

LANGUAGES = ("en", *PHRASES)

_WORDS = {
    "who": "my mother|the old baker|a young farmer|our neighbour|the captain|my best friend|the boy next door|"
    "a painter|"
    "the mayor|her brother|the piano teacher|a good doctor|the whole family|somebody|the postman|a happy child",
    "did": "bought|found|painted|moved|brought back|opened|dropped|cooked|made|carried|hid|gave away|polished|borrowed|"
    "remembered|forgot|followed|weighed|photographed|washed",
    "what": "a big blue umbrella|the map of the harbour|a bowl of warm soup|five apples|the broken lamp|"
    "a pair of boots|"
    "an old violin|the paper boat|a small wooden box|the yellow bus|two pots of paint|a very heavy book|the bread|"
    "a bunch of flowers|the bottom drawer|an orange bicycle|a piece of marble|the garden gate|a shiny copper pot",
    "where": "by the river|in the middle of the room|behind the barn|at the market|above the fireplace|on the roof|"
    "under the bridge|near the open window|beside the pond|at home|in the back garden|around the corner|on the moon",
    "when": "before breakfast|every morning|in March|after the storm|last autumn|at a quarter past four|on Monday|"
    "while the music played|as the sun came up|in the month of November|one foggy evening|for the first time",
    "how": "slowly|proudly|without a word|very carefully|with both arms|in a great hurry|almost by accident|quietly",
    "is": "warm|bright|empty|much too loud|beautiful|above all useful|wide open|impossible to find|"
    "heavier than I thought|"
    "far away|full of people|made of paper|the best of them all",
    "thing": "the water|the moon|that problem|the opera house|my umbrella|this old map|the weather|a calm voice|"
    "the pavement|"
    "the bamboo|every word of it|the sound of the bell",
    "verb": "move|pop|bubble up|open|jump|fall apart|grow|come back|vanish|wobble|warm up|burn",
    "number": "two|five|seven|eleven|forty four|a hundred|about a million|ninety|twelve",
    "place": "Panama|Bombay|Amsterdam|Oslo|Alabama|Africa|Rome|Mumbai|the mountains|Boston|Vienna|Peru",
}  # fmt: skip
WORDS = {kind: tuple(choices.split("|")) for kind, choices in _WORDS.items()}

TEMPLATES = (
    "{who} {did} {what} {where}.",
    "{when}, {who} {did} {what}.",
    "{who} {did} {what} {how}, and then {who} {did} {what}.",
    "Why would {who} want {what}?",
    "I believe {thing} is {is}.",
    "{thing} will {verb} {when}, but {thing} is {is}.",
    "Please bring {what} and put it {where}.",
    "There were {number} people {where}, and {number} more in {place}.",
    "Oh no, {who} never came back from {place}!",
    "Have you ever been to {place}? It is {is} {when}.",
    "Maybe {who} and {who} will meet {where}.",
    "If {thing} is {is}, we may {verb} {how}.",
    "Papa, mama, and {who} {did} {what}.",
    "Above {place}, far up, {thing} began to {verb}.",
    "We all know that {who} {did} it {when}.",
    "How many {number} times must I say that {thing} is {is}?",
    "Hello, and welcome to {place}. My name is Emma.",
    "Remember: {what} belongs {where}.",
    "Wow, {what}! What a marvellous surprise.",
    "Come over here and help me {verb}.",
    "The farmer's father has far more farms than {who}.",
    "Bob's pup popped up {where} {when}.",
    "It was early, and {who} had not yet {did} {what}.",
    "You and I would rather {verb} {how} than stay {where}.",
)


def make_sentence(rng: np.random.Generator, language: str = "en") -> str:
    """One sentence of a language in LANGUAGES."""
    if language != "en":
        return _foreign_sentence(rng, language)
    template = TEMPLATES[rng.integers(len(TEMPLATES))]
    while "{" in template:
        start, end = template.index("{"), template.index("}")
        choices = WORDS[template[start + 1 : end]]
        template = template[:start] + choices[rng.integers(len(choices))] + template[end + 1 :]
    return template[0].upper() + template[1:]


def _foreign_sentence(rng: np.random.Generator, language: str) -> str:
    orders = ORDERS.get(language, USUAL_ORDERS)
    clauses = []
    for _ in range(1 if rng.random() < 0.6 else 2):
        order = orders[rng.integers(len(orders))]
        parts = (PHRASES[language][kind][rng.integers(len(PHRASES[language][kind]))] for kind in order)
        clauses.append(" ".join(parts))
    # Asking changes the melody; the mouth does not care that the grammar would differ.
    return ", ".join(clauses) + ("." if rng.random() < 0.85 else "?")
