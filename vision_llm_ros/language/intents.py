"""Which words ask for which task. Every table is tried in order; the first pattern that fits the sentence decides."""

from __future__ import annotations

import re

from vision_llm_ros.language.patterns import PICTURE, THINGS, any_of, compiled, words

_SEEK = (
    r"(?:find(?: out)?|detect|locate|spot|identify|recogni[sz]e|seek|discover|pinpoint|localize|localise|"
    r"pick out|mark|point out|"
    r"look (?:out )?for|search (?:out )?for|hunt (?:down|for)?|scan for|check for|watch (?:out )?for|"
    r"monitor for|list|report|"
    r"get|give me|show(?: me)?|see|notice|single out|track down|spy|look around for|"
    r"box(?: in(?= (?:all|every|each|these|those)\b))?|label|annotate|tag|name)"
)
_GIVE = any_of(
    r"(?:give|get|show|send|tell)(?: me| us)?",
    words(
        "draw make create produce compute generate predict provide return output find plot sketch put place add display"
    ),
    words("mark trace write compose say do let_me_see let_me_have could_i_have can_i_have i_want i_need i_would_like"),
)
_FEW = r"(?P<things>.+?)"
_IT = r"(?:it|them|him|her|that|those|each|each one|every one)"


_WORK = (
    r"(?:looking|searching|watching|detecting|tracking|following|finding|segmenting|scanning|hunting|"
    r"monitoring|outlining|"
    r"describing|checking|locating|counting|restoring|denoising|deblurring|captioning|seeking|spotting|"
    r"showing|answering|processing|"
    r"running|working|reporting|watching out|looking out)"
)
_AT_ALL = words("it that this everything all now please here altogether completely any_?more any_longer immediately")
_ANY = rf"(?: {_AT_ALL}| of (?:it|that|them))*"
_JOB = (
    r"(?:(?:the|this|that|my|your|all|every|any|current|last|previous|running|active|other)(?: of)? "
    r")*(?:search(?:es)?|detections?|tracking|"
    r"commands?|tasks?|jobs?|requests?|work|process(?:ing)?|segmentation|watch|live commands?|perception|"
    r"actions?|orders?|queries|query|what)"
)
_END = r"(?:stop|cancel|halt|abort|quit|cease|end|terminate|finish)"
STOP = compiled(
    rf"(?:(?:that is (?:it|all|enough)|enough|no|wait|never mind)[,. ]+)+{_END}{_ANY}",
    rf"{_END}{_ANY}",
    rf"{_END} {_WORK}{_ANY}",
    rf"{_END} {_WORK} (?:for |of |out for |after |down )?{THINGS}",
    rf"{_END} {_JOB}(?: (?:you are doing|you do|i (?:said|gave you|asked for)))?{_ANY}",
    rf"{_END} {_JOB} (?:for|of) {THINGS}",
    r"(?:just )?(?:never ?mind|forget (?:it|about it|that|everything)|(?:that is )?enough|that is (?:enough|"
    r"all|it)|thats? (?:enough|all|it)|"
    r"that will do|call it off|give (?:it )?up|drop it|knock it off|no more|leave it|we are done|i am done|"
    r"stand down|be quiet|"
    r"you (?:are|can be) done|all done)(?: (?:now|here|of (?:it|that)))*",
    r"(?:you )?(?:do not (?:have|need) to|no need to|need not|no longer|do not|you no longer need to) "
    r"(?:look(?: out)?|search|watch(?: out)?|"
    rf"track|follow|find|detect|segment|monitor|scan|hunt|check|outline|locate|seek)(?: for)? {THINGS} (?:any "
    r"?more|any longer|now)",
    r"(?:you )?(?:no longer|no need to|do not (?:have|need) to|you no longer need to) (?:look(?: out)?|"
    r"search|watch(?: out)?|track|follow|find|"
    rf"detect|segment|monitor|scan|hunt|check|outline|locate|seek)(?: for)? {THINGS}",
    r"(?:no more|forget(?: about)?|enough of|enough with) (?P<things>(?:the |these |those )?[\w ]+)",
)

TRACK = compiled(
    rf"(?:track(?! down)|follow|trail|tail|shadow)(?: after)? {THINGS}",
    rf"keep (?:track of|(?:your|an) eyes? on|tabs on) {THINGS}",
    rf"(?:stay|keep up|stick)(?: locked)? (?:on|onto|with|to) {THINGS}",
    rf"lock (?:on|onto|on to|in on) {THINGS}",
    rf"(?:do not|never) (?:lose|let)(?: (?:sight|track) of)? {THINGS}?(?: out of (?:your )?sight)?",
    rf"(?:give|assign) (?:every|each|all|the) {THINGS} (?:an|their|its|own) ids?(?: and (?:track|follow) {_IT})?",
    rf"{_SEEK} {THINGS},? and (?:then )?(?:track|follow|keep track of|keep tracking|keep following|stay with) {_IT}",
    rf"track(?:ing)? of {THINGS}",
)
_OUTLINE = words("(?:polygon(?:al)?_)?outlines? polygons? contours? boundar(?:y|ies) borders? perimeters? shapes?")
_FOR = r"(?:of|for|around|about|(?:on|over)(?! (?:the )?(?:left|right|top|bottom|upper|lower)\b)|covering)"
POLYGON = compiled(
    rf"(?:outline|polygonize|contour|trace|polygon|circle|delineate)(?: (?:the|all|every) {_OUTLINE} "
    rf"{_FOR})? (?:around (?:the edges? of )?)?{THINGS}",
    rf"{_GIVE}? ?(?:an?|the|all|every|each|its|their)? ?{_OUTLINE} {_FOR} {_FEW}(?: as (?:an? )?polygons?)?",
    rf"{_SEEK} {THINGS} (?:as|with|by|using|in) (?:a )?(?:polygons?|outlines?|contours?)",
    rf"draw around {THINGS}",
    rf"{_SEEK} {THINGS},? and (?:then )?(?:outline|trace) {_IT}",
)
_MASK = r"(?:(?:segmentation|instance|pixel|binary|object)? ?(?:masks?|segmentations?)|silhouettes?|cut-?outs?)"
SEGMENT = compiled(
    rf"(?:separate|split|isolate) {THINGS} from (?:the |its |their )?(?:background|rest|scene|image)(?: of .+)?",
    r"(?:segment(?: out)?|mask(?: out| off)?(?! of\b| for\b)|cut ?out|isolate|extract|crop out|colou?r in|shade|"
    rf"separate) {THINGS}",
    rf"cut {THINGS} out(?: of {PICTURE})?",
    rf"{_GIVE}? ?(?:an?|the|all|every|some)? ?{_MASK} {_FOR} {THINGS}",
    r"(?:which|what|mark the|highlight the|show(?: me)? the|find the|give me the|colou?r the) pixels? "
    rf"(?:belong to|are|show|of|make up|that belong to|that are|contain|covers?|covered by) {THINGS}",
    rf"highlight {THINGS}",
    rf"{_SEEK} {THINGS},? and (?:then )?(?:segment|mask|cut out) {_IT}",
    rf"{_SEEK} {THINGS} (?:as|with|by|using) (?:an? )?(?:segmentation )?masks?",
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
_SEEN = any_of(
    r"(?:you|the camera|the robot|is (?:here|there|visible|going on|happening))"
    r"(?: (?:can )?(?:see|sees|are looking at))?",
    rf"is in {PICTURE}",
    r"is in front of (?:you|us|me|the (?:robot|camera))",
)
_ABOUT = any_of(
    PICTURE,
    r"the (?:room|surroundings|environment|area|situation|place|world)",
    r"it|this|everything|your (?:view|surroundings)",
    rf"what {_SEEN}",
)
_TEXT = r"(?:captions?|descriptions?|summary|overview|account)"
CAPTION = compiled(
    r"(?:describe|caption|summari[sz]e|explain|narrate|comment on|characteri[sz]e|sum up|depict)(?: to "
    rf"me)?(?: {_ABOUT})?",
    rf"{_GIVE}? ?(?:an?|the|some)? ?(?:image |scene )?{_TEXT}(?: (?:of|for|about) {_ABOUT})?",
    rf"{_GIVE} (?:an?|one|two|three|some|a few) (?:sentences?|words?|lines?|paragraph) "
    rf"(?:about|on|for|describing) {_ABOUT}",
    rf"(?:tell|show)(?: me| us)? (?:about )?{_ABOUT}",
    r"(?:tell me|say|show me) what (?:you|the camera|the robot) (?:can |are able to )?(?:see|sees|are "
    r"looking at|looking at|observe)",
    r"what (?:do|can) you (?:currently |right now )?(?:see|observe|make out|perceive|notice)(?: (?:here|in "
    rf"{PICTURE}|there|in front of you|right now|around you|at the moment))*",
    r"what (?:is|are) (?:going on|happening|there|here|in front of (?:you|me|us|the (?:robot|camera))|in "
    rf"{PICTURE}|on {PICTURE}|shown|visible|around|around you|in view|up|you looking at|you seeing|there to "
    rf"see)(?: (?:here|there|in {PICTURE}|right now|in front of you|to see))*",
    rf"what does (?:{PICTURE}|the robot|it|the camera) (?:see|show|depict|contain|look like)(?: here)?",
    rf"what is (?:this|that) (?:a )?{PICTURE} (?:of|about|showing)|what is {PICTURE} (?:of|about|showing)",
    rf"how (?:would|could|can|do) you (?:describe|caption|summari[sz]e) {_ABOUT}",
    rf"(?:what|how) does it look like(?: (?:here|there|in {PICTURE}))?|say something about {_ABOUT}|look "
    r"around(?: and (?:tell|describe).*)?",
)
DESCRIBE_OBJECT = re.compile(
    rf"(?:describe|caption|give me an? description of|tell me about|what does)(?: {THINGS})?(?: look like)?"
)
EVERYTHING_THERE = re.compile(
    rf"{PICTURE}|(?:the )?(?:scene|view|things)|everything|what (?:is|happens|is happening|is going on|is there)|"
    r"what (?:do |can )?(?:you|i|we) (?:can )?see"
)
TURNED_TO = re.compile(
    r".*\bwhere (?:is|are) .+ (?:looking|pointing|facing|heading|going|walking|running|driving)(?: to| at)?"
)

_CAPTIONED = r"(?:the )?(?:caption|text|sentence|description|statement|phrase|words?|label|title)?"
_SHOWS = words(
    """shows? showing depicts? depicting displays? contains? match(?:es)? matching illustrates? represents? portrays?
    fits? features? includes? is_of is_about looks?_like describes? corresponds?_to agrees?_with suits?"""
)
_SUBJECT = rf"(?:{PICTURE}|this|that|it|what you see|here)"
_C = r"(?P<caption>.+)"
MATCH = compiled(
    rf"(?:does|do|is|would you say|did)(?: that)? {_SUBJECT} (?:really |actually |here )?(?:{_SHOWS}|a match "
    rf"for|look like)(?: with| to)?:? {_CAPTIONED}:? ?{_C}",
    rf"(?:is|was) (?:this|that|it|here)(?: really| actually)? {PICTURE} (?:of|showing|with|that shows):? {_C}",
    rf"(?:is it|would it be) (?:true|correct|right|fair|accurate)(?: to say)? that {_SUBJECT} {_SHOWS}:? {_C}",
    rf"(?:true or false|yes or no|right or wrong)[:,]? (?:{_SUBJECT} {_SHOWS}|this is(?: {PICTURE} of)?):? {_C}",
    r"(?:check|verify|test|decide|judge|tell me|confirm|rate|say|score|determine|see|find out|evaluate|"
    rf"measure|assess|estimate)(?: whether| if| that| how (?:well|much|closely|far))* {_SUBJECT} {_SHOWS}:? "
    rf"{_CAPTIONED}:? ?{_C}",
    rf"would you (?:say|agree) (?:that )?(?:this|that|it|{PICTURE}) (?:is|shows|depicts)(?: {PICTURE} of)? {_C}",
    rf"how (?:well|much|closely|far) (?:does|do|is) {_SUBJECT} {_SHOWS}:? {_CAPTIONED}:? ?{_C}",
    r"(?:check |verify |tell me |rate |test |see )?(?:does|do|is|how (?:well|much|closely) (?:does|do)|"
    rf"whether|if|how well) {_CAPTIONED} ?(?P<caption>\ue000\d+\ue001) (?:a )?{_SHOWS}(?: (?:to|with|for))? "
    rf"(?:{_SUBJECT}|what (?:you|the camera) sees?)(?: well)?",
    rf"(?:score|rate|compare|check|judge|match) {_CAPTIONED} ?(?P<caption>\ue000\d+\ue001) "
    rf"(?:against|with|to|for|on) {_SUBJECT}",
    rf"is {_SUBJECT} (?:about|of|showing) {_C}",
    rf"(?:compare|match) {_SUBJECT} (?:with|to|against) {_CAPTIONED}:? ?{_C}",
    rf"(?:do|does|whether|if) (?:{_SUBJECT} and {_CAPTIONED} ?(?P<caption>\ue000\d+\ue001)) (?:match|fit|"
    r"agree|belong)(?: together)?",
    rf"(?:compare|match) {_CAPTIONED} ?(?P<caption>\ue000\d+\ue001) (?:with|to|against) {_SUBJECT}",
    rf"is {_CAPTIONED} ?(?P<caption>\ue000\d+\ue001) (?:right|correct|true|a (?:good|correct|right|fitting) "
    rf"(?:caption|description))(?: (?:for|of) {_SUBJECT})?",
    rf"is (?:this|the) (?:caption|description|text) (?:right|correct|true|fitting)(?: (?:for|of) {_SUBJECT})?:? {_C}",
)
_WHERE = rf"(?:where ?abouts?|where(?: exactly)?(?: in {PICTURE})?|in which (?:place|part of {PICTURE}))"
_TELL = any_of(
    r"(?:tell|show)(?: me| us)?",
    r"i (?:would like|want|need) to know",
    words("do_you_know (?:can|do)_you_see any_idea find_out i_wonder say let_me_know point_out"),
)
TAKEN = re.compile(
    rf"where (?:is|was|are) (?:{PICTURE}|this|it) (?:taken|shot|made|photographed|recorded|set|happening)"
)
GROUND = compiled(
    rf"where (?:did|do|can|could) (?:you|we) (?:see|spot|find|notice|detect|last see) {THINGS}",
    rf"(?:i am looking for|i need|i (?:have )?lost|i can not find) {THINGS}[,.]? (?:{_WHERE} (?:is|are) (?:it|"
    r"they)|(?:do|can) you see (?:it|them)|help me find (?:it|them))",
    rf"(?:{_TELL} )?{_WHERE} (?:is|are|was|were|can (?:i|you|we) (?:find|see|locate|spot)|do you see|did|"
    r"does|do|has|have) (?P<things>.+?)(?: (?:go|gone|located|stand|at|hiding|hide|now|right now))*",
    rf"{_TELL} {_WHERE} {THINGS} (?:is|are|was|were|went|has gone|stands?|sits?|lies?)(?: (?:located|now|"
    r"standing|sitting|lying))*",
    rf"(?:point(?: me| us)? (?:at|to|towards|out)|point|indicate|"
    rf"(?:direct|lead|guide) (?:me|my (?:eyes?|gaze|look)) to(?:wards)?) {THINGS}",
    rf"which (?:one|of (?:them|these|those))(?: (?:here|there))? is {THINGS}",
    r"which is (?P<things>(?:the|my|your) .+)",
    r"(?:give me|tell me|show me|what is|report|get|i need|i want|find|determine) the (?:exact "
    rf")?(?:location|position|place|coordinates|whereabouts|bounding box|box) (?:of|for|around) {THINGS}",
)
_BOXES = r"(?:(?:a |an |the |some |all )*(?:bounding |rectangular )?(?:box(?:es)?|rectangles?|frames?|bboxe?s?))"
BOXED = re.compile(
    rf"(?:highlight|mark|outline|show(?: me)?|label|annotate|enclose|frame|surround) {THINGS} (?:with|by|using|"
    r"in) (?:an? )?(?:bounding |rectangular )?(?:box(?:es)?|rectangles?)"
)
DETECT = compiled(
    rf"{_GIVE}? ?{_BOXES} (?:around|for|of|on|over|about) {THINGS}",
    r"(?:give me|tell me|show me|report|get|i need|i want|find|list|output|return)? ?(?:the |all )*(?:exact "
    r")?(?:locations|positions|places|coordinates|whereabouts|detections|instances|occurrences|locations?|"
    rf"positions?) (?:of|for) {THINGS}",
    r"(?:keep|be on|stay on) (?:an eye out|the lookout|a lookout|watch|the watch|looking|a look ?out|"
    r"searching|scanning|checking|watching|monitoring|guard|on the lookout|an eye open)(?: out)? (?:for|if "
    rf"there (?:is|are)) {THINGS}",
    r"(?:keep|continue|go on|carry on)(?: on)? (?:detecting|finding|reporting|showing|locating|spotting|"
    rf"watching|monitoring|marking|boxing|seeking) {THINGS}",
    r"(?:monitor|watch|observe|scan|search|check|inspect|examine|look (?:over|through|at|around(?: in)?)|"
    rf"survey|study|keep watching)(?: (?:{PICTURE}|the (?:room|area|surroundings|street|road|door|scene|floor|"
    rf"table|entrance|whole thing)|around|everything))? for {THINGS}",
    r"(?:alert|warn|notify|tell|inform|message|ping|call|let|report to|signal)(?: me| us)?(?: know)?(?: at "
    r"once| immediately)? (?:when|whenever|if|as soon as|every time|each time|once|in case) (?:you (?:see|"
    r"spot|detect|notice|find|can see) |there (?:is|are|appears?) |)(?P<things>(?!there\b).+?)(?: "
    r"(?:appears?|shows? up|comes?(?: (?:in|by|into view|along|up|around))?|enters?(?: (?:the )?\w+)?|"
    r"arrives?|is (?:visible|there|seen|detected|present|around|in view|near)|are (?:visible|there|seen|"
    r"detected|present|around)|pass(?:es)?(?: by)?|walks? (?:by|in|past)|turns? up|is detected|moves?(?: "
    r"in)?|gets? (?:close|near)))?",
    rf"are there any {THINGS}",
    r"(?:do|can|could) (?:you|we) (?:currently )?(?:see|spot|find|detect|notice|locate|recogni[sz]e|"
    r"identify) (?P<things>(?:any|all|some|the|every|each|many|these|those)\b.+)",
    rf"(?:do|can|could) (?:you|we) (?:currently )?(?:spot|find|detect|notice|locate|recogni[sz]e|identify) {THINGS}",
    rf"(?:i|we) (?:am|are) (?:looking|searching|hunting) for {THINGS}",
    r"(?:i|we) (?:would like|want|need|wish|like|love) (?:to (?:see|know about|find|have|get|spot) |you to "
    r"find )?(?P<things>(?:all|every|each|any|the|some|a|an|both)\b.+)",
    rf"(?:spot|find|detect|identify|locate)(?: me| us)? (?:whether|if) there (?:is|are) {THINGS}",
    rf"(?:get|find|give|show|bring up)(?: me| us)? {THINGS}",
    r"(?:look|search|scan|check|hunt|watch|monitor|seek|examine)(?: (?:around|out|everywhere|carefully|"
    rf"again|closely|in {PICTURE}))* (?:for|after) {THINGS}",
    rf"(?:be on the|stay on|keep) (?:lookout|look-out|watch) for {THINGS}",
    rf"(?:watch|monitor|observe|guard|keep watching) {THINGS}",
    rf"{_SEEK}(?: me| us| out)? {THINGS}",
    rf"(?:detection|recognition|localization) of {THINGS}",
    rf"any {THINGS}? (?:around|here|there|in (?:sight|view)|visible|nearby)",
)
HOW_MANY = compiled(
    rf"(?:count|count up|enumerate|tally)(?: (?:up|how many|the number of))* {THINGS}? ?(?:there (?:are|is)|you "
    r"(?:can )?see|are there)?",
    r"(?:(?:tell me|give me|what is|report|say|i want|find|count)? ?the )?(?:number|amount|count|total|"
    rf"quantity)(?: number)? of {THINGS}",
    rf"(?:tell me |count |say |report |find out |i (?:want|would like|need) to know )?how many {THINGS}",
)
EXISTENCE = r" ?\b(?:are|is|does|do|did|can|could|has|have|were|was)\b.*"
ANSWER = compiled(
    r"(?:(?:tell|inform)(?: me| us)?|say|answer(?: me)?|find out|do you know|check|i (?:want|would like|"
    r"need) to know|i wonder|determine|explain|let me know|please say|question)[,:]? (?P<question>(?:what|"
    r"who|whose|which|how|why|where|whether|if|is|are|does|do|has|have|can|did)\b.+)",
    r"(?P<question>(?:what|who|whose|whom|which|how|why|where (?:is|was|are|were)|is|are|was|were|does|do|did|has|"
    r"have|can you see|can|could|in what|in which|on what|on which|at what|under|from what|of what|with "
    r"what)\b.+)",
    r"(?P<question>read .+)",
)
