"""Thousands of labelled sentences, to examine the command parser with.

Two splits share their nouns but no phrasing: `train` holds the phrasings the grammar was written along, `held_out`
phrasings that were written down before the grammar met them. One line of the written file is
`{"text": "find every dog", "task": "detect"}`; `task` is one of the closed set or `refuse`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from vision_llm_ros.errors import ConfigError
from vision_llm_ros.language.corpus_refusals import HELD_OUT_REFUSALS, TRAIN_REFUSALS

REFUSE = "refuse"
SPLITS = ("train", "held_out")


@dataclass(frozen=True)
class Sentence:
    """A sentence and the task it should become, or `refuse`."""

    text: str
    task: str


_ONE = """person dog cat car bicycle chair cup bottle laptop book backpack bird horse truck bus boat bench umbrella
suitcase bowl banana apple couch bed clock vase door ladder helmet mug pallet forklift keyboard spoon knife fork
toilet sink refrigerator pizza cake""".split()
_MANY = """people dogs cats cars bicycles chairs cups bottles laptops books backpacks birds horses trucks buses boats
benches umbrellas suitcases bowls bananas apples sofas beds clocks knives sheep children women men boxes wheels
mugs bikes phones tables glasses""".split()
_REFERRED = (
    "red cup|black cat|small white dog|largest bowl|leftmost person|blue car|man in the yellow jacket|"
    "mug next to the plate|woman with the umbrella|wooden chair|tallest bottle|book under the lamp|"
    "green suitcase|person wearing a hat|brown horse behind the fence|cup left of the laptop|second chair"
).split("|")
_RATE = "at 2 Hz|twice a second|every 3 seconds|once per second|at 5 frames per second|every half second".split("|")
_WHERE = "on the left|on the right side|in the middle|in the upper right corner|at the bottom".split("|")
_SCENE = (
    "a dog running on a beach|two people riding bicycles|a kitchen with a white refrigerator|a man holding a phone|"
    "a cat sleeping on a couch|a street full of cars"
).split("|")
_PLACE = "on the table|under the chair|next to the car|behind the couch|in the basket".split("|")
_STATE = "open|empty|on the floor|broken|wet|parked".split("|")


def _listed(words: list[str], rng: random.Random) -> str:
    chosen = rng.sample(words, rng.choice((1, 1, 2, 3)))
    return chosen[0] if len(chosen) == 1 else f"{', '.join(chosen[:-1])} and {chosen[-1]}"


_SLOTS: dict[str, Callable[[random.Random], str]] = {
    "one": lambda rng: rng.choice(_ONE),
    "ones": lambda rng: _listed(_ONE, rng),
    "many": lambda rng: rng.choice(_MANY),
    "manys": lambda rng: _listed(_MANY, rng),
    "ref": lambda rng: rng.choice(_REFERRED),
    "rate": lambda rng: rng.choice(_RATE),
    "where": lambda rng: rng.choice(_WHERE),
    "scene": lambda rng: rng.choice(_SCENE),
    "place": lambda rng: rng.choice(_PLACE),
    "state": lambda rng: rng.choice(_STATE),
    "n": lambda rng: str(rng.randint(8, 24)),
    "few": lambda rng: str(rng.choice((1, 2, 3, 4, 6, 7, 25, 40, 300))),
    "nothing": lambda rng: rng.choice(("happiness", "justice", "tomorrow", "freedom", "the truth", "gravity")),
}

_TRAIN = {
    "detect": """find every {ones}|detect {manys}|look for {manys}|show me the {many}|are there any {many}?
spot every {ones}
locate all {manys}|please find all the {manys}|find {manys} {where}|watch for {many} {rate}|keep looking for {manys}
detect {manys} continuously|find a {one}|could you look for {manys}, please|I want you to find every {ones}
draw boxes around all {many}|find {manys} every 3 seconds|tell me when you see a {one}|find two {many}|{manys}
mark every {ones} in the picture|where are the {many}?|search for {manys}|Detect All {many}!|find the {one}""",
    "ground": """where is the {ref}?|find the {ref}|locate the {ref}|point at the {ref}|where's the {ref}
show me where the {ref} is|find the {one} {where}|which one is the {ref}?|look for the {ref}|where is the {one}?
please point to the {ref}|can you find the {ref}""",
    "polygon": """outline every {ones} with {n} points|outline the {ref}|draw a polygon around each {one}
trace the outline of every {one}|polygons of all {many} with {n} points|give me the contour of the {ref}
outline {manys} using {n} vertices|find every {one} with {n} points""",
    "segment": """segment the {ref}|segment every {ones}|mask all {many}|cut out the {ref}|give me a mask of the {ref}
segment the {ref} and every {one}|give me the masks of all {manys}|segment {manys}|highlight the pixels of the {ref}
segment the thing you can sit on|segmentation of the {one}""",
    "restore": """clean up the image|remove the rain|the picture is noisy|the image is blurry|denoise|remove the noise
sharpen the picture|restore the frame|deblur the image|fix the picture|improve the image|get rid of the black dots
remove rain from the image|rotate the picture by 90 degrees|flip the image|mirror the picture|fill in the missing blocks
please denoise the picture|can you clean the image up?|remove the {one} from the picture""",
    "caption": """describe the scene|what do you see?|describe the image in detail|give me a short description
caption this picture|what is happening here?|describe what you see|give me a long description of the picture
write a caption|tell me what you see|what is in the picture?|summarise the scene|describe the {ref}""",
    "answer": """what is {place}?|how many {many} are there?|is there a {one}?|what colour is the {one}?
is the {one} {state}?|what is the man doing?|how many {many} are {place}?|count the {many}|is there a {one} {place}?
who is sitting {place}?|what is the person wearing?|are the {many} {state}?|does the man wear a hat?""",
    "match": """does this show {scene}?|does the picture match "{scene}"?|is this a picture of {scene}?
does the image show {scene}?|check whether the picture shows {scene}|how well does "{scene}" fit the picture?""",
    "recall": """did anyone pass?|did any {one} come by in the last 10 seconds?|when did you last see the {one}?
how many {many} passed in the last minute?|has a {one} been here?|have you seen the {one} recently?""",
    "track": """follow the {ref}|track every {ones}|track the {ref}|keep track of all {many}|keep following the {ref}
track {manys} {rate}|follow that {one}|start tracking the {one}|find the {ref} and follow it""",
    "stop": """stop|cancel|never mind|stop looking for {many}|stop it|stop everything|please stop|halt|abort
that's enough|stop tracking|forget it|cancel that|stop now|you can stop now|quit looking for {many}""",
}

_HELD_OUT = {
    "detect": """pick out every {ones} you can see|I'd like to see all the {manys}|get me all {manys} in view
try to find some {manys}|do you see any {many}?|can you spot any {many} {where}?|scan for {manys}
keep an eye out for {manys}|let me know when a {one} shows up|I am looking for {manys}
identify all {manys} in this frame
put a box around every {one}|I need the positions of all {manys}|alert me whenever a {one} appears
look for a {one} or a {one}|hunt for {manys}|where can you see {manys}?|show all {many} {where}
start looking for {manys} {rate}|be on the lookout for {many}|monitor the view for {manys} {rate}
{rate} check for {manys}|in the lower left corner, find all {many}|find me up to 3 {many}
give me bounding boxes for {manys}
recognise every {one}|fnd all {many}|detct every {ones}|any {many} around?|report every {one} {rate}""",
    "ground": """I'm looking for the {ref}, where is it?|can you tell me where the {ref} is?|point me to the {ref}
do you know where the {ref} is?|whereabouts is the {ref}?|find me the {ref} please|give me the location of the {ref}
help me find the {ref}|spot the {ref}|wheres the {ref}|put a box around the {ref}|show the {ref}
hey robot, where did the {ref} go?|indicate the {ref}|try to locate the {ref} for me""",
    "polygon": """I want outlines of all {manys}|polygon around the {ref}|draw the contours of every {one}
please trace each {one} with a {n}-point polygon|draw an outline around the {ref} with {n} points
mark the boundary of the {ref}|give me {n} point polygons for {manys}|outlin every {one}
detect {manys} as polygons with {n} vertices|trace around the {one}""",
    "segment": """which pixels belong to the {ref}?|I need a mask for every {one}|separate the {ref} from the background
produce segmentation masks for {manys}|isolate the {one}|pixel mask of the {ref}|show me the mask of the {ref}
segment whatever I could drink from|please cut the {ref} out|mask out the {one} and the {ref}|segmnt the {ref}
can you segment everything made of wood?|make a silhouette of the {ref}|find the {ref} and segment it""",
    "restore": """this is too noisy|there's rain on the lens|could you make the image sharper?|get rid of the grain
undo the blur|the camera image looks out of focus|it is raining, clean the picture|turn the image upside down
mirror the frame left to right|I can't see well, enhance the picture|take the noise out of this image
remove the raindrops|the photo has black specks, remove them|repair the holes in the picture|derain the frame please
turn the picture 90 degrees clockwise|make the view clearer|erase the {one} from the image|reduce noise""",
    "caption": """what's going on?|tell me about this scene|what are you looking at?
give me a one sentence summary of the view
how would you describe this image?|what can you see right now?|explain what is in front of you|what does the camera see?
describe everything in as much detail as possible|short caption please|say what you see|what's in front of the robot?
I want a detailed description of the scene|caption it briefly|tell me what's there""",
    "answer": """can you tell me what is {place}?|tell me how many {many} you see|is anybody sitting on the {one}?
what kind of vehicle is that?|do you see a {one}?|which {one} is {state}?|is anyone in the room?
what's the color of the {ref}|number of {many}?|are there more {many} than {many}?|how many {many} can you see {where}?
what is the woman holding|is the light on?|is the {one} {place}?|could you count how many {many} there are
why is the man running?|does the {one} look {state}?|what material is the {one} made of?""",
    "match": """would you say this is {scene}?|does "{scene}" describe what you see?
true or false: the image shows {scene}
is it correct that the picture shows {scene}?|compare the image with the text "{scene}"|does this photo depict {scene}?
does the caption "{scene}" match the image?|rate how well the picture matches {scene}|is this an image of {scene}""",
    "recall": """has anybody walked by just now?|was there a {one} in the last 5 seconds?|when did the {one} leave?
how many {many} did you see in the past 10 seconds?|did you notice a {one} going past?|who was here a moment ago?""",
    "track": """don't lose sight of the {ref}|stay on the {ref}|lock onto the {ref}|I want you to track all {manys}
keep your eyes on the {ref}|follow every {one} as it moves|trak the {ref}|give every {one} an id and follow it
keep tracking the {ref} {rate}|find all {manys} and track them|tail the {ref}""",
    "stop": """okay stop|enough|no more|that will do, thanks|stop watching|please cancel the last command|stop searching
you don't have to look for {many} anymore|end the search|stop what you are doing|cease|stop following the {ref}
nevermind|stop please|call it off|no longer look for {many}|abort all commands|don't track the {one} any more""",
}


def _phrasings(split: str) -> dict[str, tuple[str, ...]]:
    if split not in SPLITS:
        raise ConfigError(f"Expected split {' or '.join(SPLITS)}, got {split!r}")
    served, refused = (_TRAIN, TRAIN_REFUSALS) if split == "train" else (_HELD_OUT, HELD_OUT_REFUSALS)
    phrasings = {
        task: tuple(part for line in text.splitlines() for part in line.split("|")) for task, text in served.items()
    }
    return {**phrasings, REFUSE: refused}


def _fill(template: str, rng: random.Random) -> str:
    text = template
    for name, draw in _SLOTS.items():
        while f"{{{name}}}" in text:
            text = text.replace(f"{{{name}}}", draw(rng), 1)
    return text


def _say(text: str, rng: random.Random) -> str:
    """Vary what a keyboard or a speech recogniser varies: capitals, final punctuation."""
    style = rng.random()
    if style < 0.15:
        return text.rstrip("?!.").lower()
    if style < 0.3:
        return text[0].upper() + text[1:] + ("" if text[-1] in "?!." else ".")
    return text


def every_phrasing(split: str, seed: int = 0) -> Iterator[Sentence]:
    """Yield one sentence for each phrasing of a split.

    Raises:
        ConfigError: no such split.
    """
    rng = random.Random(seed)
    for task, templates in _phrasings(split).items():
        for template in templates:
            yield Sentence(_fill(template, rng), task)


def sentences(split: str, count: int, seed: int = 0) -> Iterator[Sentence]:
    """Yield `count` sentences, tasks in equal shares, phrasings and nouns drawn by `seed`.

    Raises:
        ConfigError: no such split.
    """
    rng = random.Random(seed)
    phrasings = _phrasings(split)
    tasks = tuple(phrasings)
    for index in range(count):
        task = tasks[index % len(tasks)]
        text = _fill(rng.choice(phrasings[task]), rng)
        yield Sentence(text if task == REFUSE else _say(text, rng), task)


def write_jsonl(path: Path, split: str, count: int, seed: int = 0) -> None:
    """Write sentences as JSON lines."""
    lines = (json.dumps(asdict(sentence), ensure_ascii=False) for sentence in sentences(split, count, seed))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
