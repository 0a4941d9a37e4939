"""Ways to ask for every module that the grammar was not written along, for the language model that routes.

The forms lie in `phrasings/`, one a line under `# module do` or `# module say`: `do` forms are imperative and take
openers, tails and companions in a plan; `say` forms stand alone. (this|that|) is a choice of words. Slots: `{d}` one
definite thing, `{p}` a quantified list, `{m}` bare plurals, `{a}` an indefinite thing, `{where}` a part of the picture,
`{scene}` a whole scene, `{ago}` a period. What the module is to be told is the slot, or what stands in [brackets].
The splits of `APART` were written apart and are never learnt from: no learnt form has more than 0.7 of its words (of
both) in common with one of them. By "apart" and "other" we choose, by "held_out" and "unheard" we only report.
"""

from __future__ import annotations

import random
import re
from functools import lru_cache
from pathlib import Path

Forms = dict[str, dict[str, tuple[str, ...]]]


def read_forms(path: Path) -> Forms:
    """Module, then "do" or "say", to forms."""
    forms: dict[str, dict[str, list[str]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            module, kind = line[2:].split()
            some = forms.setdefault(module, {}).setdefault(kind, [])
        else:
            some.append(line)
    return {module: {kind: tuple(some) for kind, some in kinds.items()} for module, kinds in forms.items()}


_FOLDER = Path(__file__).parent / "phrasings"
_TOO_CLOSE = 0.7
_CHOICE = re.compile(r"\(([^()]*)\)")
_SPACE = re.compile(r"\s+(?=[,.;:?!](?:\s|$))|(?<=\s)\s+|^\s+|\s+$")


def _together(*some: Forms) -> Forms:
    whole: Forms = {}
    for forms in some:
        for module, kinds in forms.items():
            for kind, lines in kinds.items():
                whole.setdefault(module, {})[kind] = whole.get(module, {}).get(kind, ()) + lines
    return whole


# split -> what was written apart
APART: dict[str, Forms] = {
    split: read_forms(_FOLDER / f"{split}.txt") for split in ("apart", "other", "held_out", "unheard")
}
_PLAIN, *_BROAD = (read_forms(_FOLDER / f"{name}.txt") for name in ("learnt", "varied", "broad", "people", "operators"))
LEARNT = _together(_PLAIN, *_BROAD)
# forms to be drawn more often: patterns of many wordings, and what many different people would say
BROAD = frozenset(form for forms in _BROAD for kinds in forms.values() for some in kinds.values() for form in some)
# what stands around tasks: "opener", "tail", "joiner", and "reversed", where the second task is to be done first
AROUND = read_forms(_FOLDER / "around.txt")


def chosen(form: str, rng: random.Random) -> str:
    """A form with one of the words of every (this|that|) chosen."""
    return _SPACE.sub("", _CHOICE.sub(lambda found: rng.choice(found[1].split("|")), form))


def is_kept_apart(form: str, module: str) -> bool:
    """Whether a form has more than 0.7 of its words, of both, in common with one that is written apart."""
    words = _words(form)
    return any(len(words & other) > _TOO_CLOSE * len(words | other) for other in _apart(module))


@lru_cache(maxsize=64)
def _apart(module: str) -> tuple[frozenset[str], ...]:
    return tuple(_words(form) for split in APART.values() for some in split[module].values() for form in some)


def _words(form: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z']+", re.sub(r"\{\w+\}", " ", form.lower())))


# Words that stand for each other in learnt forms, by module ("" for all): what gives the forms their breadth.
SYNONYMS: dict[str, str] = {
    "": """the picture|the image|the photo|this frame|the shot|this photograph|the snapshot|the camera image|this image
tell me|let me know|inform me|report to me|tell us
find out|figure out|work out|determine|establish|clarify
I want|I need|I'd like|I would like|I require|we need|I could do with|my wish is
everywhere|all over|all over the place
in the picture|in view|in sight|in the photo|in here|in this frame
could I get|can I have|may I get|might I have|is it possible to get
what I want is|what I'd like is|what I need is|the thing I want is|all I want is
give me|get me|provide|provide me with|hand me|supply|show me|let me have|return""",
    "detect": """find|locate|detect|spot|look for|search for|seek|discover|hunt for|identify|pick out|scan for|scout for
boxes|bounding boxes|rectangles|detections|box annotations
any sign of|any trace of|any hint of|anything like
box|mark|frame|put a frame around|draw a rectangle around|tag|flag|enclose|highlight with a box
sweep|search|scan|inspect|browse|go over|survey|look through|examine|scour""",
    "ground": """find|locate|pinpoint|single out|identify|spot|discover|lay eyes on
where is|where's|in which place is|whereabouts is|where do I see|where can one see
the spot|the place|the position|the location|the point|the whereabouts
I can't find|I cannot see|I don't see|I failed to find|I lost|I misplaced|I am unable to find|I keep losing
point out|point to|point at|show me|direct me to|guide me to""",
    "polygon": """outline|contour|boundary|border|perimeter|edge line|silhouette line
polygon|closed polygon|polygonal outline|line of corner points
draw|make|trace|give me|compute|produce|create|return|run""",
    "segment": """segment|mask|mask out|cut out|isolate|extract|crop out exactly|separate out|carve out
a mask|a pixel mask|a segmentation mask|the segmentation|a cut-out|a silhouette mask|a binary mask
masks|pixel masks|segmentation masks|segmentations|cut-outs
pixels|exact pixels|individual pixels
the background|everything else|the rest|its surroundings|what is behind
make|produce|compute|generate|give me|return|calculate""",
    "track": """follow|track|trail|pursue|tail|stay on|keep up with|keep an eye on|keep watching
don't take your eyes off|don't lose|do not let go of|never lose sight of|keep your eyes on|never stop watching
from now on|all the time|continuously|constantly|permanently|the whole time""",
    "count": """count|count up|add up|tally|total|enumerate|sum up|work out the number of
the number of|the total of|the amount of|the quantity of|a count of|the sum of|the head count of
how many|what number of""",
    "caption": """describe|depict|narrate|summarise|explain|recount|put into words|report on|outline|comment on|relate
the scene|the view|the situation|what is there|what is in front of you|the surroundings|the whole picture|what you see
what is there|what is visible|what is going on|what can be seen|what is shown|what's up
a description|a summary|an overview|a report|an account|a short text|a caption""",
    "describe": """describe|depict|characterise|portray|explain|comment on|give details of|elaborate on
look like|appear|look
details|information|particulars|a few words|more""",
    "answer": """tell me|let me know|inform me|reveal|tell us|explain|I wish to know|answer me
I was wondering|I wonder|I ask myself|I'd like to know|I want to ask|I am curious|I am not sure|it interests me
can you see|can you make out|can you tell|do you know|could you say|would you know|do you notice
the question is|my question is|here is a question:|one more question:|a question:""",
    "match": """shows|depicts|displays|contains|presents|is of|portrays
fit|suit|match|describe
is it fair to say that|is it true that|is it correct that|would it be right that|is it so that
check if|verify that|test whether|decide if|judge whether|examine if|assess whether""",
    "recall": """went by|came by|passed|was here|walked past|came along|turned up|showed up|appeared|moved past
look back|think back|go back in memory|check your memory|remember|recall
have you seen|did you see|have you noticed|did you notice|did you spot|have you come across|had you seen""",
    "when": """last saw|saw for the last time|last noticed|last spotted
disappeared|left|went away|vanished|went out of view|was gone|got lost
in view|in sight|visible|here|seen|there
tell me|let me know|say|remember|recall|find out""",
    "passed": """came by|went past|passed|came through|walked by|moved past|went by|drove by|came along|crossed
tell me|let me know|report|say|recall|remember
did you see|have you seen|did you notice|did you count|have you observed|were there""",
    "stop": """stop|quit|end|cease|give up|abandon|halt|drop|break off|abort|terminate|discontinue|leave off
looking for|searching for|watching for|hunting for|tracking|following|the search for|the hunt for
that's enough|this is enough|that will do|that was enough|I have had enough|enough of this
I don't need|I no longer need|nobody needs|forget|I am done with|I've lost interest in|I do not care about
the current job|all jobs|every task|what you are doing|the work|everything|your task""",
    "restore": """fix|repair|mend|correct|improve|enhance|restore|better|clean up|polish up|touch up|refine|optimise
awful|bad|terrible|horrible|poor|ugly|in bad shape|of low quality|dreadful
a better picture|a nicer picture|a cleaner image|a picture of better quality|an improved photo""",
    "denoise": """noise|grain|graininess|speckle|grainy texture|sensor noise|image noise|static
take away|remove|eliminate|suppress|filter out|reduce|get rid of|kill|lower|smooth out|clean off|cut down
noisy|grainy|full of noise|full of grain|speckled|covered in noise""",
    "deblur": """make it sharp|make it crisp|sharpen it|bring it into focus|make it clear
blurred|blurry|fuzzy|unsharp|smeared|out of focus|soft|not sharp|defocused|a blur
blur|smear|softness|fuzziness|blurriness|lack of sharpness|motion blur
sharpen|deblur|focus|refocus|increase the sharpness of""",
    "pepper": """black dots|dark dots|black specks|dark spots|dead pixels|black pixels|pepper noise|little black spots
remove|take away|clean off|get rid of|erase|repair|eliminate|wash away|delete|clear away
spoil|ruin|disturb|cover|disfigure""",
    "derain": """rain|raindrops|drizzle|rain streaks|drops of rain|downpour|water drops|streaks of rain
remove|take away|get rid of|wipe off|erase|eliminate|clear away|clean off|suppress
covers|spoils|hides|obscures|blocks|ruins""",
    "mask": """holes|gaps|missing blocks|blank squares|empty patches|missing parts|black blocks|lost areas|square holes
fill|fill in|fill up|complete|close|patch|patch up|mend|reconstruct|repair
are missing|are gone|got lost|are blank|have disappeared|are empty""",
    "rotate": """rotate|turn|spin|tip|swivel
by 90 degrees|a quarter turn|sideways|clockwise|through ninety degrees|onto its side
on its side|sideways|tilted by 90 degrees|rotated""",
    "flip": """flip|mirror|reverse|reflect
swap|exchange|switch|interchange
mirrored|reversed|the wrong way round|back to front|flipped""",
    "remove": """remove|erase|delete|take out|wipe out|edit out|clear|cut|scrub|retouch out|airbrush out|get rid of
from the picture|from the photo|out of the image|from this frame|out of the photograph|from the shot
disappear|vanish|go away|fade away
without|minus|not showing|cleared of""",
    "refuse:move": """drive|roll|go|walk|move|head|travel|proceed|ride|run|advance
pick up|lift up|grab|take hold of|grasp|collect|gather up|snatch
bring|fetch|carry|deliver|transport|take|haul|pass
push|pull|shove|drag|nudge|press|squeeze|touch|hold|shake|poke
put|place|set|lay|drop|position|deposit
to the kitchen|to the door|to my desk|over here|to the charging station|outside|to the garage|upstairs
go faster|speed up|accelerate|hurry up|slow down|brake
turn around|spin on the spot|turn left|turn right|reverse|back up|step back""",
    "refuse:make": """draw|paint|sketch|generate|create|produce|render|compose|make|illustrate|design|invent|craft
a video|a movie|a clip|a film|an animation|a cartoon|a short film
a picture of|a painting of|a drawing of|a photo of|an illustration of|a poster of|a sketch of
put|add|insert|place|paste|include
swap|replace|exchange|substitute
green|blue|purple|golden|pink|transparent|black and white""",
    "refuse:chat": """play|sing|perform|hum|recite
send|write|compose|draft|post|mail
save|store|upload|download|back up|archive|export
call|phone|ring|dial|text
how are you|how do you feel|how is it going|how was your night|how's life|are you well
I like|I love|I adore|I hate|I dislike|I prefer|I used to have
good morning|hello|hi there|good day|greetings|goodbye|farewell|good night
order|buy|book|reserve|purchase""",
    "refuse:unseen": """how much does {d} cost|what is the price of {d}|is {d} expensive|what did {d} cost
how far|how many metres|how many steps|what distance
how heavy|how old|how warm|how hot|how loud|how deep
tomorrow|next week|in an hour|this evening|next year|later
who invented|who designed|who discovered|who first made
the time|the date|the news|the weather|the temperature|the score of the match""",
    "refuse:unclear": """do it|do that|do the thing|do whatever you want|do something|make it happen|act
work on|deal with|take care of|handle|process|use|prepare|do something about
maybe|perhaps|possibly|probably|presumably|who knows
yes|no|okay|sure|fine|nope|alright
something|anything|somewhat|whatever|stuff|things""",
}
