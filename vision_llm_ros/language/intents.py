"""Which words ask for which task. Every table is tried in order; the first pattern that fits the sentence decides."""

from __future__ import annotations

import re

_T = r"(?P<things>.+)"
_PIC = (
    r"(?:the |this |that |my |your |our |an? )?(?:current |camera |whole |entire |input |live |last )?"
    r"(?:images?|pictures?|pics?|photos?|photographs?|frames?|view|video|camera|scene|feed|stream|shot|footage|screen)"
)
_SEEK = (
    r"(?:find(?: out)?|detect|locate|spot|identify|recogni[sz]e|seek|discover|pinpoint|localize|localise|"
    r"pick out|mark|point out|"
    r"look (?:out )?for|search (?:out )?for|hunt (?:down|for)?|scan for|check for|watch (?:out )?for|"
    r"monitor for|list|report|"
    r"get|give me|show(?: me)?|see|notice|single out|track down|spy|look around for|box|label|annotate|tag|name)"
)
_IT = r"(?:it|them|him|her|that|those|each|each one|every one)"


def _compile(*patterns: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern) for pattern in patterns)


_WORK = (
    r"(?:looking|searching|watching|detecting|tracking|following|finding|segmenting|scanning|hunting|"
    r"monitoring|outlining|"
    r"describing|checking|locating|counting|restoring|denoising|deblurring|captioning|seeking|spotting|"
    r"showing|answering|processing|"
    r"running|working|reporting|watching out|looking out)"
)
_ANY = r"(?: (?:it|that|this|everything|all|now|please|here|altogether|completely|any ?more|any longer|immediately|of (?:it|that|them)))*"
_JOB = (
    r"(?:(?:the|this|that|my|your|all|every|any|current|last|previous|running|active|other)(?: of)? "
    r")*(?:search(?:es)?|detections?|tracking|"
    r"commands?|tasks?|jobs?|requests?|work|process(?:ing)?|segmentation|watch|live commands?|perception|"
    r"actions?|orders?|queries|query|what)"
)
_END = r"(?:stop|cancel|halt|abort|quit|cease|end|terminate|finish)"
STOP = _compile(
    rf"(?:(?:that is (?:it|all|enough)|enough|no|wait|never mind)[,. ]+)+{_END}{_ANY}",
    rf"{_END}{_ANY}",
    rf"{_END} {_WORK}{_ANY}",
    rf"{_END} {_WORK} (?:for |of |out for |after |down )?{_T}",
    rf"{_END} {_JOB}(?: (?:you are doing|you do|i (?:said|gave you|asked for)))?{_ANY}",
    rf"{_END} {_JOB} (?:for|of) {_T}",
    r"(?:just )?(?:never ?mind|forget (?:it|about it|that|everything)|(?:that is )?enough|that is (?:enough|"
    r"all|it)|thats? (?:enough|all|it)|"
    r"that will do|call it off|give (?:it )?up|drop it|knock it off|no more|leave it|we are done|i am done|"
    r"stand down|be quiet|"
    r"you (?:are|can be) done|all done)(?: (?:now|here|of (?:it|that)))*",
    r"(?:you )?(?:do not (?:have|need) to|no need to|need not|no longer|do not|you no longer need to) "
    r"(?:look(?: out)?|search|watch(?: out)?|"
    rf"track|follow|find|detect|segment|monitor|scan|hunt|check|outline|locate|seek)(?: for)? {_T} (?:any "
    r"?more|any longer|now)",
    r"(?:you )?(?:no longer|no need to|do not (?:have|need) to|you no longer need to) (?:look(?: out)?|"
    r"search|watch(?: out)?|track|follow|find|"
    rf"detect|segment|monitor|scan|hunt|check|outline|locate|seek)(?: for)? {_T}",
    r"(?:no more|forget(?: about)?|enough of|enough with) (?P<things>(?:the |these |those )?[\w ]+)",
)

# Restoration: (kind, what is wrong or to be done). "" lets the quality estimator choose.
_NOISE = r"(?:noise|noisy|grain|grainy|graininess|speckles?|static|noise-free)"
_BLUR = r"(?:blur|blurry|blurred|blurriness|fuzzy|unsharp|out of focus|not sharp|smeared|motion blur|defocused)"
_PEPPER = (
    r"(?:(?:black|dark|dead|salt and pepper) (?:dots?|specks?|pixels?|spots?|noise)|pepper(?: noise)?|salt "
    r"and pepper(?: noise)?|"
    r"dead pixels?|specks?|peppered)"
)
_RAIN = r"(?:rain|raindrops?|rainy|raining|rain ?streaks?|(?:water )?(?:drops?|droplets) on the lens|streaks)"
_HOLES = r"(?:(?:missing|black|masked|lost|empty|blank|corrupted|damaged|hidden) (?:blocks?|patches|parts?|squares?|areas?|regions?)|holes?|gaps?|mask)"
_REMOVE = (
    r"(?:remove|take away|get rid of|clear(?: away)?|clean(?: up| off| away)?|reduce|filter(?: out)?|"
    r"suppress|undo|eliminate|"
    r"fix|wipe(?: away| off)?|take out|repair|correct|delete|erase|drop|lower|cut down|take)"
)
_MEND = (
    r"(?:clean(?: up)?|restore|fix|repair|improve|enhance|clear up|tidy up|correct|polish|beautify|recover|"
    r"undo the damage (?:in|to)|"
    r"make better|refine|mend|rescue|sanitize)"
)
_DAMAGE = (("denoise", _NOISE), ("deblur", _BLUR), ("pepper", _PEPPER), ("derain", _RAIN), ("mask", _HOLES))
_TAIL = rf"(?: (?:in|from|on|of|out of) (?:{_PIC}|the lens|it|here|the camera image))?"
RESTORE: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        *((kind, rf"{_REMOVE} (?:(?:all|any|some)(?: of)? )?(?:the |that |this |these |those )?{words}{_TAIL}(?: out(?: of {_PIC})?)?") for kind, words in _DAMAGE),
        *((kind, rf"(?:{_PIC}|it|this|everything|that) (?:is|looks|seems|appears|has(?: become)?|has got|contains|is full of|shows|got|suffers from)(?: (?:very|too|so|really|a bit|a little|quite|rather|pretty|some|all|a lot of|lots of|many|full of|covered (?:in|with|by)))* {words}{_TAIL}(?:,? (?:and |so )?(?:please )?(?:can you )?(?:remove|clean|fix|repair|get rid of|restore|sharpen|clear|improve|enhance|help|do something|denoise|deblur|derain|smooth|undo|correct|filter|reduce|wipe)\b.*)?") for kind, words in _DAMAGE),
        *((kind, rf"there (?:is|are)(?: (?:some|a lot of|lots of|too much|many|so much))? {words}(?: (?:in|on|over|across) (?:{_PIC}|the lens|it))") for kind, words in _DAMAGE),
        *((kind, rf"(?:{_MEND}|{_REMOVE}|denoise|deblur|derain|sharpen|smooth) (?:the |this |that |my )?{words} {_PIC}(?: up)?") for kind, words in (*_DAMAGE, ("", "(?:damaged|bad|poor|degraded|dirty|ugly|broken)"))),
        ("derain", rf"it is raining,? (?:so |and )?(?:{_MEND}|clear).*|de-?rain(?: {_PIC})?|(?:clear|wipe) the lens"),
        ("denoise", rf"de-?noise(?: {_PIC}| it)?|smooth(?: out)? {_PIC}|make {_PIC} (?:less noisy|less grainy|smoother|noise-free)|noise (?:reduction|removal)"),
        ("deblur", rf"(?:de-?blur|un-?blur|sharpen|focus)(?: up)?(?: {_PIC}| it)?|make (?:{_PIC}|it) (?:sharper|less blurry|sharp|crisper|crisp)"),
        ("mask", rf"(?:fill(?: in| up)?|complete|reconstruct|inpaint|close) (?:the |all |any )*{_HOLES}{_TAIL}"),
        ("rotate", rf"(?:rotate|turn|spin) (?:{_PIC}|it) ?(?:(?:by |about |through )?(?:90|ninety|a quarter)(?:[- ]?(?:degrees?|°|turn))?|clockwise|(?:to the )?(?:right)|sideways| )*"),
        ("rotate", rf"turn {_PIC} (?:upside down|the right way up|upright|around)|{_PIC} is (?:upside down|sideways|rotated).*"),
        ("flip", rf"(?:flip|mirror|reflect)(?: {_PIC}| it)?(?: (?:horizontally|left to right|around|sideways|from left to right))?|{_PIC} is (?:mirrored|flipped).*|mirror image"),
        ("", rf"{_MEND} (?:{_PIC}|what you see|it)(?: up| quality)?|{_MEND} the quality of {_PIC}|make (?:{_PIC}|it) (?:clearer|cleaner|better|nicer|look better)|restoration|restore|clean up|clean {_PIC} up"),
        ("", rf"{_PIC} (?:is|looks|seems)(?: (?:very|too|so|really|quite))? (?:bad|poor|terrible|dirty|degraded|damaged|unclear|awful|distorted|of poor quality)(?:,.*)?"),
        ("", rf"(?:i can not|can not) see (?:well|anything|much|clearly|properly),? (?:please )?(?:{_MEND}|sharpen|clear).*"),
        ("inpaint", rf"(?:remove|erase|delete|inpaint|paint over|take) {_T}? ?(?:from|out of|in) {_PIC}"),
        ("inpaint", rf"inpaint {_T}"),
    )
)  # fmt: skip

TRACK = _compile(
    rf"(?:track|follow|trail|tail|shadow)(?: after)? {_T}",
    rf"keep (?:track of|(?:your|an) eyes? on|tabs on) {_T}",
    rf"(?:stay|keep up|stick)(?: locked)? (?:on|onto|with|to) {_T}",
    rf"lock (?:on|onto|on to|in on) {_T}",
    rf"(?:do not|never) (?:lose|let)(?: (?:sight|track) of)? {_T}?(?: out of (?:your )?sight)?",
    rf"(?:give|assign) (?:every|each|all|the) {_T} (?:an|their|its|own|stable) ids?(?: and (?:track|follow) {_IT})?",
    rf"{_SEEK} {_T},? and (?:then )?(?:track|follow|keep track of|keep tracking|keep following|stay with) {_IT}",
    rf"track(?:ing)? of {_T}",
)
_OUTLINE = (
    r"(?:(?:polygon(?:al)? )?outlines?|polygons?|contours?|boundar(?:y|ies)|silhouettes? lines?|borders?|perimeters?)"
)
_FOR = r"(?:of|for|around|about|on)"
POLYGON = _compile(
    rf"(?:outline|polygonize|contour|trace|polygon|circle|delineate)(?: (?:the|all|every) {_OUTLINE} "
    rf"{_FOR})? (?:around (?:the edges? of )?)?{_T}",
    r"(?:draw|give me|get(?: me)?|show(?: me)?|make|i want|i need|i would like|mark|find|trace|return|"
    rf"compute|produce|plot|sketch|put)? ?(?:a|an|the|all|every|each|its|their)? ?{_OUTLINE} {_FOR} {_T}",
    rf"{_SEEK} {_T} (?:as|with|by|using|in) (?:a )?(?:polygons?|outlines?|contours?)",
    rf"draw around {_T}",
    rf"{_SEEK} {_T},? and (?:then )?(?:outline|trace) {_IT}",
)
_MASK = r"(?:(?:segmentation|instance|pixel|binary|object)? ?(?:masks?|segmentations?)|silhouettes?|cut-?outs?)"
SEGMENT = _compile(
    rf"(?:separate|split|isolate) {_T} from (?:the |its |their )?(?:background|rest|scene|image|picture)(?: of .+)?",
    rf"(?:segment(?: out)?|mask(?: out| off)?|cut ?out|isolate|extract|crop out|colou?r in|shade|separate) {_T}",
    rf"cut {_T} out(?: of {_PIC})?",
    r"(?:give me|get(?: me)?|show(?: me)?|make|create|produce|compute|i want|i need|i would like|draw|"
    rf"return|find|generate|predict|provide)? ?(?:a|an|the|all|every|some)? ?{_MASK} {_FOR} {_T}",
    r"(?:which|what|mark the|highlight the|show(?: me)? the|find the|give me the|colou?r the) pixels? "
    rf"(?:belong to|are|show|of|make up|that belong to|that are|contain|covers?|covered by) {_T}",
    rf"highlight {_T}",
    rf"{_SEEK} {_T},? and (?:then )?(?:segment|mask|cut out) {_IT}",
    rf"{_SEEK} {_T} (?:as|with|by|using) (?:an? )?(?:segmentation )?masks?",
)
_SHORT = r"(?:short|brief|concise|one[- ]sentence|one[- ]line|quick|terse|short and simple)"
_LONG = r"(?:long|detailed|full|thorough|complete|extensive|comprehensive|rich|in-depth|precise)"
CAPTION_SHORT = re.compile(
    rf"\b(?:{_SHORT}|briefly|shortly|in (?:short|brief|(?:a |one )?few words|one (?:sentence|line|phrase)|a "
    r"nutshell)|in a sentence|summar\w+)\b"
)
CAPTION_LONG = re.compile(
    rf"\b(?:{_LONG}|in (?:more |great |full |much |as much |a lot of )*details?(?: as possible)?|thoroughly|"
    r"at length|as much detail as (?:possible|you can)|precisely)\b"
)
_ABOUT = rf"(?:{_PIC}|the (?:room|surroundings|environment|area|situation|place|world)|it|this|everything|what (?:you|the camera|the robot|is (?:here|there|visible|going on|happening))(?: (?:can )?(?:see|sees|are looking at))?|your (?:view|surroundings)|what is in {_PIC}|what is in front of (?:you|us|me|the (?:robot|camera)))"
_TEXT = r"(?:captions?|descriptions?|summary|overview|account)"
CAPTION = _compile(
    r"(?:describe|caption|summari[sz]e|explain|narrate|comment on|characteri[sz]e|sum up|depict)(?: to "
    rf"me)?(?: {_ABOUT})?",
    r"(?:give me|write|make|create|i want|i need|i would like|produce|provide|say|get me|generate|compose|"
    rf"output|show me)? ?(?:an?|the|some)? ?(?:image |scene )?{_TEXT}(?: (?:of|for|about) {_ABOUT})?",
    rf"(?:tell|show)(?: me| us)? (?:about )?{_ABOUT}",
    r"(?:tell me|say|show me) what (?:you|the camera|the robot) (?:can |are able to )?(?:see|sees|are "
    r"looking at|looking at|observe)",
    r"what (?:do|can) you (?:currently |right now )?(?:see|observe|make out|perceive|notice)(?: (?:here|in "
    rf"{_PIC}|there|in front of you|right now|around you|at the moment))*",
    r"what (?:is|are) (?:going on|happening|there|here|in front of (?:you|me|us|the (?:robot|camera))|in "
    rf"{_PIC}|on {_PIC}|shown|visible|around|around you|in view|up|you looking at|you seeing|there to "
    rf"see)(?: (?:here|there|in {_PIC}|right now|in front of you|to see))*",
    rf"what does (?:{_PIC}|the robot|it|the camera) (?:see|show|depict|contain|look like)(?: here)?",
    rf"what is (?:this|that) (?:a )?{_PIC} (?:of|about|showing)|what is {_PIC} (?:of|about|showing)",
    rf"how (?:would|could|can|do) you (?:describe|caption|summari[sz]e) {_ABOUT}",
    rf"(?:what|how) does it look like(?: (?:here|there|in {_PIC}))?|say something about {_ABOUT}|look "
    r"around(?: and (?:tell|describe).*)?",
)
DESCRIBE_OBJECT = re.compile(
    rf"(?:describe|caption|give me an? description of|tell me about|what does) {_T}?(?: look like)?"
)

_CAPTIONED = r"(?:the )?(?:caption|text|sentence|description|statement|phrase|words?|label|title)?"
_SHOWS = r"(?:shows?|showing|depicts?|depicting|displays?|contains?|match(?:es)?|matching|illustrates?|represents?|portrays?|fits?|features?|includes?|is of|is about|looks? like|describes?|corresponds? to|agrees? with|suits?)"
_SUBJECT = rf"(?:{_PIC}|this|that|it|what you see|here)"
_C = r"(?P<caption>.+)"
MATCH = _compile(
    rf"(?:does|do|is|would you say|did)(?: that)? {_SUBJECT} (?:really |actually |here )?(?:{_SHOWS}|a match "
    rf"for|look like)(?: with| to)?:? {_CAPTIONED}:? ?{_C}",
    rf"(?:is|was) (?:this|that|it|here)(?: really| actually)? {_PIC} (?:of|showing|with|that shows):? {_C}",
    rf"(?:is it|would it be) (?:true|correct|right|fair|accurate)(?: to say)? that {_SUBJECT} {_SHOWS}:? {_C}",
    rf"(?:true or false|yes or no|right or wrong)[:,]? (?:{_SUBJECT} {_SHOWS}|this is(?: {_PIC} of)?):? {_C}",
    r"(?:check|verify|test|decide|judge|tell me|confirm|rate|say|score|determine|see|find out|evaluate|"
    rf"measure|assess|estimate)(?: whether| if| that| how (?:well|much|closely|far))* {_SUBJECT} {_SHOWS}:? "
    rf"{_CAPTIONED}:? ?{_C}",
    rf"would you (?:say|agree) (?:that )?(?:this|that|it|{_PIC}) (?:is|shows|depicts)(?: {_PIC} of)? {_C}",
    rf"how (?:well|much|closely|far) (?:does|do|is) {_SUBJECT} {_SHOWS}:? {_CAPTIONED}:? ?{_C}",
    r"(?:check |verify |tell me |rate |test |see )?(?:does|do|is|how (?:well|much|closely) (?:does|do)|"
    rf"whether|if|how well) {_CAPTIONED} ?(?P<caption>\ue000\d+\ue001) (?:a )?{_SHOWS}(?: (?:to|with|for))? "
    rf"(?:{_SUBJECT}|what (?:you|the camera) sees?)(?: well)?",
    rf"(?:compare|match) {_SUBJECT} (?:with|to|against) {_CAPTIONED}:? ?{_C}",
    rf"(?:do|does|whether|if) (?:{_SUBJECT} and {_CAPTIONED} ?(?P<caption>\ue000\d+\ue001)) (?:match|fit|"
    r"agree|belong)(?: together)?",
    rf"(?:compare|match) {_CAPTIONED} ?(?P<caption>\ue000\d+\ue001) (?:with|to|against) {_SUBJECT}",
    rf"is {_CAPTIONED} ?(?P<caption>\ue000\d+\ue001) (?:right|correct|true|a (?:good|correct|right|fitting) "
    rf"(?:caption|description))(?: (?:for|of) {_SUBJECT})?",
    rf"is (?:this|the) (?:caption|description|text) (?:right|correct|true|fitting)(?: (?:for|of) {_SUBJECT})?:? {_C}",
)
_WHERE = r"(?:where ?abouts?|where(?: exactly)?|in which (?:place|part of the (?:image|picture)))"
_TELL = r"(?:(?:tell|show)(?: me| us)?|do you know|any idea|i (?:would like|want|need) to know|find out|i wonder|say|let me know|point out)"
TAKEN = re.compile(rf"where (?:is|was|are) (?:{_PIC}|this|it) (?:taken|shot|made|photographed|recorded|set|happening)")
GROUND = _compile(
    rf"where (?:did|do|can|could) (?:you|we) (?:see|spot|find|notice|detect|last see) {_T}",
    rf"(?:i am looking for|i need|i (?:have )?lost|i can not find) {_T}[,.]? (?:{_WHERE} (?:is|are) (?:it|"
    r"they)|(?:do|can) you see (?:it|them)|help me find (?:it|them))",
    rf"(?:{_TELL} )?{_WHERE} (?:is|are|was|were|can (?:i|you|we) (?:find|see|locate|spot)|do you see|did|"
    r"does|do|has|have) (?P<things>.+?)(?: (?:go|gone|located|stand|at|hiding|hide|now|right now))*",
    rf"{_TELL} {_WHERE} {_T} (?:is|are|was|were|went|has gone|stands?|sits?|lies?)(?: (?:located|now|"
    r"standing|sitting|lying))*",
    rf"(?:point(?: me| us)? (?:at|to|towards|out)|point|indicate|direct me to|lead me to) {_T}",
    rf"which (?:one|of (?:them|these|those))(?: (?:here|there))? is {_T}",
    r"which is (?P<things>(?:the|my|your) .+)",
    r"(?:give me|tell me|show me|what is|report|get|i need|i want|find|determine) the (?:exact "
    rf")?(?:location|position|place|coordinates|whereabouts|bounding box|box) (?:of|for|around) {_T}",
)
_BOXES = r"(?:(?:a |an |the |some |all )*(?:bounding |rectangular )?(?:box(?:es)?|rectangles?|frames?|bboxe?s?))"
BOXED = re.compile(
    rf"(?:highlight|mark|outline|show(?: me)?|label|annotate|enclose|frame|surround) {_T} (?:with|by|using|"
    r"in) (?:an? )?(?:bounding |rectangular )?(?:box(?:es)?|rectangles?)"
)
DETECT = _compile(
    r"(?:draw|put|place|give me|get me|show me|show|add|i want|i need|return|make|compute|display|provide)? "
    rf"?{_BOXES} (?:around|for|of|on|over|about) {_T}",
    r"(?:give me|tell me|show me|report|get|i need|i want|find|list|output|return)? ?(?:the |all )*(?:exact "
    r")?(?:locations|positions|places|coordinates|whereabouts|detections|instances|occurrences|locations?|"
    rf"positions?) (?:of|for) {_T}",
    r"(?:keep|be on|stay on) (?:an eye out|the lookout|a lookout|watch|the watch|looking|a look ?out|"
    r"searching|scanning|checking|watching|monitoring|guard|on the lookout|an eye open)(?: out)? (?:for|if "
    rf"there (?:is|are)) {_T}",
    r"(?:keep|continue|go on|carry on)(?: on)? (?:detecting|finding|reporting|showing|locating|spotting|"
    rf"watching|monitoring|marking|boxing|seeking) {_T}",
    r"(?:monitor|watch|observe|scan|search|check|inspect|examine|look (?:over|through|at|around(?: in)?)|"
    rf"survey|study|keep watching)(?: (?:{_PIC}|the (?:room|area|surroundings|street|road|door|scene|floor|"
    rf"table|entrance|whole thing)|around|everything))? for {_T}",
    r"(?:alert|warn|notify|tell|inform|message|ping|call|let|report to|signal)(?: me| us)?(?: know)?(?: at "
    r"once| immediately)? (?:when|whenever|if|as soon as|every time|each time|once|in case) (?:you (?:see|"
    r"spot|detect|notice|find|can see) |there (?:is|are|appears?) |)(?P<things>(?!there\b).+?)(?: "
    r"(?:appears?|shows? up|comes?(?: (?:in|by|into view|along|up|around))?|enters?(?: (?:the )?\w+)?|"
    r"arrives?|is (?:visible|there|seen|detected|present|around|in view|near)|are (?:visible|there|seen|"
    r"detected|present|around)|pass(?:es)?(?: by)?|walks? (?:by|in|past)|turns? up|is detected|moves?(?: "
    r"in)?|gets? (?:close|near)))?",
    rf"(?:are|is) there any {_T}",
    r"(?:do|can|could) (?:you|we) (?:currently )?(?:see|spot|find|detect|notice|locate|recogni[sz]e|"
    r"identify) (?P<things>(?:any|all|some|the|every|each|many|these|those)\b.+)",
    rf"(?:do|can|could) (?:you|we) (?:currently )?(?:spot|find|detect|notice|locate|recogni[sz]e|identify) {_T}",
    rf"(?:i|we) (?:am|are) (?:looking|searching|hunting) for {_T}",
    r"(?:i|we) (?:would like|want|need|wish|like|love) (?:to (?:see|know about|find|have|get|spot) |you to "
    r"find )?(?P<things>(?:all|every|each|any|the|some|a|an|both)\b.+)",
    rf"(?:spot|find|detect|identify|locate)(?: me| us)? (?:whether|if) there (?:is|are) {_T}",
    rf"(?:get|find|give|show|bring up)(?: me| us)? {_T}",
    r"(?:look|search|scan|check|hunt|watch|monitor|seek|examine)(?: (?:around|out|everywhere|carefully|"
    rf"again|closely|in {_PIC}))* (?:for|after) {_T}",
    rf"(?:be on the|stay on|keep) (?:lookout|look-out|watch) for {_T}",
    rf"(?:watch|monitor|observe|guard|keep watching) {_T}",
    rf"{_SEEK}(?: me| us| out)? {_T}",
    rf"(?:detection|recognition|localization) of {_T}",
    rf"any {_T}? (?:around|here|there|in (?:sight|view)|visible|nearby)",
)
HOW_MANY = _compile(
    rf"(?:count|count up|enumerate|tally)(?: (?:up|how many|the number of))* {_T}? ?(?:there (?:are|is)|you "
    r"(?:can )?see|are there)?",
    r"(?:(?:tell me|give me|what is|report|say|i want|find|count)? ?the )?(?:number|amount|count|total|"
    rf"quantity)(?: number)? of {_T}",
    rf"(?:tell me |count |say |report |find out |i (?:want|would like|need) to know )?how many {_T}",
)
ANSWER = _compile(
    r"(?:(?:tell|inform)(?: me| us)?|say|answer(?: me)?|find out|do you know|check|i (?:want|would like|"
    r"need) to know|i wonder|determine|explain|let me know|please say|question)[,:]? (?P<question>(?:what|"
    r"who|whose|which|how|why|where|whether|if|is|are|does|do|has|have|can|did)\b.+)",
    r"(?P<question>(?:what|who|whose|whom|which|how|why|where (?:is|was)|is|are|was|were|does|do|did|has|"
    r"have|can you see|can|could|in what|in which|on what|on which|at what|under|from what|of what|with "
    r"what)\b.+)",
    r"(?P<question>read .+)",
)
