"""Which words ask for restoration, and of what: "the picture is noisy", "remove the rain", "rotate the image"."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vision_llm_ros.language.modifiers import NUMBER
from vision_llm_ros.language.patterns import PICTURE, THINGS, any_of, words
from vision_llm_ros.language.turns import FLIP, ROTATE

INPAINT = "inpaint"
GLARE = "glare"

_ARTICLE = r"(?:the |that |this |these |those |my )?"
_THEM = any_of(PICTURE, "it", "this", "everything", "that")
_DAMAGE: tuple[tuple[str, str], ...] = (
    ("denoise", words("noise noisy grain grainy graininess speckles? static")),
    (
        "deblur",
        words("blur blurry blurred blurriness fuzzy unsharp out_of_focus not_sharp smeared motion_blur defocused"),
    ),
    (
        "pepper",
        any_of(
            words("black dark dead salt_and_pepper") + " " + words("dots? specks? pixels? spots? noise"),
            words("pepper pepper_noise salt_and_pepper specks? peppered"),
        ),
    ),
    (
        "derain",
        any_of(
            "rain(?: ?streaks?)?", "raindrops?", "rainy", "raining", "(?:water )?drop(?:let)?s on the lens", "streaks"
        ),
    ),
    (
        "mask",
        any_of(
            words("missing black masked lost empty blank corrupted damaged hidden")
            + " "
            + words("blocks? patches parts? squares? areas? regions?"),
            words("holes? gaps? mask"),
        ),
    ),
)
_ANY_DAMAGE = ("", words("damaged bad poor degraded dirty ugly broken"))
_REMOVE = words(
    """remove take_away get_rid_of clear clear_away clean clean_up clean_off clean_away reduce filter filter_out
    suppress undo eliminate fix wipe wipe_away wipe_off take_out repair correct delete erase drop lower cut_down
    take"""
)
_MEND = words(
    """clean clean_up restore fix repair improve enhance clear_up tidy_up correct polish beautify recover
    undo_the_damage_in undo_the_damage_to refine mend rescue sanitize"""
)
_IS = words("is looks seems appears has has_become has_got contains is_full_of shows got suffers_from")
_DEGREE = words(
    "very too so really rather pretty some all many a_bit a_little a_lot_of lots_of full_of covered_(?:in|with|by)"
)
_VERY = rf"(?: {_DEGREE})*"
_IN_PICTURE = rf"(?: (?:in|from|on|of|out of) {any_of(PICTURE, 'the lens', 'it', 'here')})?"
_HELP = (
    r"(?:,? (?:and |so )?(?:please )?(?:can you )?"
    + words(
        """remove clean fix repair get_rid_of restore sharpen clear improve enhance help do_something denoise deblur
        derain smooth undo correct filter reduce wipe"""
    )
    + r"\b.*)?"
)


def _about_damage(kind: str, what: str) -> tuple[tuple[str, str], ...]:
    return (
        (
            kind,
            rf"(?:{_REMOVE}|{_MEND}) (?:(?:all|any|some)(?: of)? )?{_ARTICLE}{what}{_IN_PICTURE}"
            rf"(?: out(?: of {PICTURE})?)?",
        ),
        (kind, rf"{_THEM} {_IS}{_VERY} {what}{_IN_PICTURE}{_HELP}"),
        (
            kind,
            rf"there (?:is|are){_VERY}(?: much)? {what} (?:in|on|over|across) (?:{PICTURE}|the lens|it){_HELP}",
        ),
        (
            kind,
            rf"(?:{_MEND}|{_REMOVE}|denoise|deblur|derain|sharpen|smooth) {_ARTICLE}{what} {PICTURE}(?: up)?",
        ),
    )


_HOLES = dict(_DAMAGE)["mask"]
_PATTERNS: tuple[tuple[str, str], ...] = (
    *(row for kind, what in _DAMAGE for row in _about_damage(kind, what)),
    *_about_damage(*_ANY_DAMAGE)[-1:],
    ("derain", rf"it is raining,? (?:so |and )?(?:{_MEND}|clear).*"),
    ("derain", rf"de-?rain(?: {PICTURE})?|(?:clear|wipe) the lens"),
    ("denoise", rf"de-?noise(?: {PICTURE}| it)?|smooth(?: out)? {PICTURE}|noise (?:reduction|removal)"),
    ("denoise", rf"make {PICTURE} {words('less_noisy less_grainy smoother noise-free')}"),
    ("deblur", rf"(?:de-?blur|un-?blur|sharpen|focus)(?: up)?(?: {PICTURE}| it)?"),
    ("deblur", rf"make {_THEM} {words('sharper less_blurry sharp crisper crisp')}"),
    ("mask", rf"(?:fill(?: in| up)?|complete|reconstruct|inpaint|close) (?:the |all |any )*{_HOLES}{_IN_PICTURE}"),
    (
        "rotate",
        rf"(?:rotate|turn|spin) (?:{PICTURE}|it|this)"
        rf"(?: (?:by |about |through )?(?:an? )?(?:{NUMBER}|quarter|half|three quarters)"
        r"(?:[- ]?(?:degrees?|deg|turns?))?)?"
        r"(?: (?:anti|counter)[- ]?clockwise| clockwise| (?:to the )?(?:right|left)| sideways| once)?",
    ),
    ("rotate", rf"turn (?:{PICTURE}|it|this) {words('upside_down the_right_way_up upright around over')}"),
    ("rotate", rf"{PICTURE} is {words('upside_down sideways rotated')}{_HELP}"),
    (
        "flip",
        rf"(?:flip|mirror|reflect)(?: {PICTURE}| it| this)?"
        r"(?: (?:horizontally|vertically|(?:from )?left to right|(?:from )?top to bottom|upside down|around|"
        r"sideways))?",
    ),
    ("flip", rf"{PICTURE} is {words('mirrored flipped')}{_HELP}|mirror image"),
    (
        "",
        rf"{_MEND} {any_of(PICTURE, 'what you see', 'it')}(?: up| quality)?|{_MEND} the quality of {PICTURE}",
    ),
    (
        "",
        rf"make {_THEM} {words('clear clean clearer cleaner better nicer look_better')}|restoration|restore|clean up",
    ),
    (
        "",
        rf"{PICTURE} (?:is|looks|seems){_VERY} "
        + words("bad poor terrible dirty degraded damaged unclear awful distorted of_poor_quality")
        + _HELP,
    ),
    (
        "",
        rf"(?:i )?can not see (?:well|anything|much|clearly|properly),? (?:please )?(?:{_MEND}|sharpen|clear).*",
    ),
    ("", rf"clean {_THEM} up"),
    (INPAINT, rf"(?:remove|erase|delete|inpaint|paint over|get rid of|take) {THINGS}? ?(?:from|out of|in) {PICTURE}"),
    (INPAINT, rf"(?:inpaint|erase|paint over|airbrush out|retouch out|edit out) {THINGS}"),
)
_GLARE = re.compile(
    rf"{_ARTICLE}(?:(?:strong|bright|ugly|light|sun|lamp) )*(?:glares?|reflections?|highlights?|lens flares?|flares?|"
    r"shine|sun spots?|light spots?|bright spots?)"
)
_THEN = re.compile(r",? (?:and then|and afterwards|and|then|afterwards|before) |, ")
_RESTORE = tuple((kind, re.compile(pattern)) for kind, pattern in _PATTERNS)


def restore_request(text: str) -> tuple[str, str] | None:
    """Tell what is to be undone.

    Returns:
        (kind, what to take out); kind "" leaves the choice to the estimator, also for several faults at once ("noisy
        and blurry"); the second part is filled for "inpaint" alone. None: this is about something else.
    """
    for kind, pattern in _RESTORE:
        found = pattern.fullmatch(text)
        if found:
            return kind, (found.groupdict().get("things") or "").strip()
    return ("", "") if _several(text) else None


def is_glare(things: str) -> bool:
    """Whether what is to be taken out is a bright reflection rather than a thing."""
    return _GLARE.fullmatch(things) is not None


def restored_before(text: str) -> Iterator[tuple[str, str]]:
    """The ways to read a sentence as a wish to restore the picture and then something else: (kind, the rest)."""
    if restore_request(text) is not None:
        return
    for joint in _THEN.finditer(text):
        wanted = restore_request(text[: joint.start()])
        if wanted is not None and wanted[0] != INPAINT:
            yield wanted[0], text[joint.end() :]


def _several(text: str) -> bool:
    parts = re.split(r",? and (?:then )?(?:also )?|, ", text)
    subject = re.match(r".+? (?:is|looks|seems|are)\b", parts[0])
    heads = (parts[0].split(" ")[0], subject[0] if subject else "")
    return len(parts) > 1 and all(
        any(
            pattern.fullmatch(candidate)
            for candidate in (part, *(f"{head} {part}" for head in heads))
            for kind, pattern in _RESTORE
            if kind not in (INPAINT, ROTATE, FLIP)
        )
        for part in parts
    )
