"""Task descriptions in several wordings each, so that the model learns the request and not the sentence.

Slots: `<class>` the class map, `<range>` the coordinate range, `<phrase>` the operator's words. How a tuple is
laid out is said by the output slot alone, so the number of points never changes a description.
"""

from __future__ import annotations

from vision_llm_ros.interfaces import Task

_DETECT = (
    "Find every object of <class> in the picture; give its class and the offsets of its corners from its "
    "centre within <range>.",
    "Which objects of <class> are there? Report each as class and corner offsets, measured from its centre "
    "within <range>.",
    "Look for all members of <class>. For each one, write the class and where its corners lie around its "
    "centre, in <range>.",
    "List what belongs to <class> in this image, one tuple per object: class first, then corners relative "
    "to the centre in <range>.",
    "Detect <class>. Every hit is a class followed by two corners, as distances from the hit's centre inside <range>.",
    "Go through the picture and box each instance of <class>; corners are counted from the centre and stay "
    "within <range>.",
    "Mark all things named in <class>: say which class it is and how far its corners are from its middle, in <range>.",
    "For each visible object out of <class> return its class together with its box, as corner offsets in "
    "<range> from its centre.",
    "Tell me where the objects of <class> are. Use their class and the box corners seen from their centre, in <range>.",
)
_POLYGON = (
    "Outline every object of <class>; give its class and boundary points as offsets from its centre within <range>.",
    "Trace the boundary of each member of <class>: the class, then points along its edge relative to its "
    "centre in <range>.",
    "Which objects of <class> are there, and what is their shape? Boundary points are measured from the "
    "centre within <range>.",
    "Draw a polygon around all instances of <class>, clockwise, with offsets from the centre of each in <range>.",
    "For every visible thing out of <class> report the class and its contour; the contour is counted from "
    "its middle in <range>.",
    "Give the silhouettes of <class> as polygons: class first, then the corners of the polygon around its "
    "centre in <range>.",
    "Follow the edges of each object of <class> and note points on the way, as distances from its centre "
    "inside <range>.",
    "Describe the shape of all <class> by boundary points that are relative to the object's centre and "
    "stay in <range>.",
)
_GROUND = (
    "Find the one object that <class> speaks of; give the offsets of its corners from its centre within <range>.",
    "Where is what <class> describes? Report its box by corners relative to its centre in <range>.",
    "The words in <class> refer to a single thing in the picture: box it, corners counted from its centre "
    "within <range>.",
    "Point out the object meant by <class>, as corner offsets from its middle in <range>.",
    "Locate the thing described in <class> and write its corners as seen from its centre, inside <range>.",
    "Read <class>, pick the object that fits best, and return its corners relative to its centre in <range>.",
    "Only one object matches <class>. Say where its corners are, measured from the centre within <range>.",
    "Match the expression in <class> to its object and give that object's box around its centre in <range>.",
)
_TRACK = (
    "Follow every object of <class> from frame to frame; give its class and the offsets of its corners "
    "from its centre in <range>.",
    "Keep track of <class>: for each one the class and its corners relative to its centre within <range>.",
    "Find the objects of <class> again in this frame; corners are measured from the centre in <range>.",
    "Do not lose <class>. Report class and box of each, as corner offsets from its middle within <range>.",
    "Where have the objects of <class> moved? Give the class, then the corners around the centre in <range>.",
    "Watch <class> and box each of them in this frame, corners counted from the centre inside <range>.",
    "For tracking, list all <class> with their boxes as offsets from their centres within <range>.",
    "Stay with <class>: write each one's class and its corners seen from its centre in <range>.",
)
_SEGMENT = (
    "Segment <phrase> in the picture.",
    "Which pixels show <phrase>? Answer with a mask for each.",
    "Give a mask for everything that is meant by: <phrase>.",
    "Separate <phrase> from the rest of the image.",
    "Cut out <phrase>, one mask per object.",
    "Colour in the pixels that belong to <phrase>.",
    "Return the exact region covered by <phrase>.",
    "Work out what is meant by <phrase> and mask it.",
)
_CAPTION = (
    "Describe <phrase>.",
    "Write a caption for <phrase>.",
    "What can be seen? Describe <phrase> in words.",
    "Say in a sentence what <phrase> shows.",
    "Put <phrase> into words.",
    "Give a description of <phrase>.",
    "Tell somebody who cannot see it about <phrase>.",
    "Sum up what is visible in <phrase>.",
)
_ANSWER = (
    "Answer the question from the picture. Question: <phrase> Answer:",
    "Look at the picture and answer: <phrase>",
    "According to the image, <phrase> Answer shortly:",
    "Use what is visible to answer this. <phrase>",
    "Question about the picture: <phrase> Short answer:",
    "What does the image say about this question? <phrase>",
    "Judge by the picture alone: <phrase> Answer:",
    "Somebody asks about the scene: <phrase> Reply:",
)
_MATCH = (
    "Does the picture show this? <phrase>",
    "Decide whether this text fits the image: <phrase>",
    "Is this a true description of the picture? <phrase>",
    "Compare the image with the words: <phrase>",
    "How well do these words describe the image? <phrase>",
    "Check the statement against the picture: <phrase>",
    "Text: <phrase> Does it belong to this image?",
    "Would you put this caption under the picture? <phrase>",
)
_RESTORE = (
    "Restore the picture.",
    "Give the picture back as it was before it was damaged.",
    "Undo what is wrong with this image.",
    "Clean the image without changing what it shows.",
    "Return a clear version of the picture.",
    "Repair the damage in this image.",
    "Show the picture without its disturbances.",
    "Rebuild the image in good quality.",
)

DESCRIPTIONS: dict[Task, tuple[str, ...]] = {
    Task.DETECT: _DETECT,
    Task.GROUND: _GROUND,
    Task.POLYGON: _POLYGON,
    Task.TRACK: _TRACK,
    Task.SEGMENT: _SEGMENT,
    Task.CAPTION: _CAPTION,
    Task.ANSWER: _ANSWER,
    Task.MATCH: _MATCH,
    Task.RESTORE: _RESTORE,
}
