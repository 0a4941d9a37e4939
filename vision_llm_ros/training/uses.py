"""Uses and kinds of things, each with the classes it means: what a model's common sense is fitted and judged on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch.nn import functional

from vision_llm_ros.errors import InputError
from vision_llm_ros.language.words import COCO_CLASSES
from vision_llm_ros.model.knowledge import Knowledge
from vision_llm_ros.model.llm import LanguageModel
from vision_llm_ros.model.text import TextEncoder

_ROUNDS, _SHRINK = 200, 1e-3

_LEARNT = """
everything you could sleep in = bed, couch
whatever i can ride = bicycle, motorcycle, horse, skateboard
things that move on rails = train
something i can eat right away without cooking = banana, apple, sandwich, orange, donut, cake, carrot, pizza, hot dog
objects made for cutting paper = scissors
things people wear around the neck = tie
something to blow-dry hair = hair drier
something one can catch a ball with = baseball glove
something to hit a ball with = baseball bat, tennis racket
everything that needs electricity in the kitchen = microwave, oven, toaster, refrigerator
what a musician would not need but a skier would = skis, snowboard
everything i could use to surf the waves = surfboard
living beings that can bark = dog
creatures with a trunk = elephant
animals with stripes = zebra
animals with a very long neck = giraffe
birds = bird
animals with hooves = horse, sheep, cow, zebra, giraffe
animals that live in a house = cat, dog
animals in a zoo = elephant, bear, zebra, giraffe
large animals = elephant, bear, zebra, giraffe, horse, cow
road vehicles = bicycle, car, motorcycle, bus, truck
public transport = bus, train
vehicles that carry many people = bus, train, airplane, boat
vehicles with four wheels = car, bus, truck
aircraft = airplane
something to put luggage in = suitcase, backpack
something to keep me dry when it rains = umbrella
something to keep warm soup in = bowl, cup
something for pouring drinks from = bottle
containers for drinks = bottle, wine glass, cup
something to stir coffee with = spoon
something to spread butter with = knife
crockery = cup, bowl
fruit = banana, apple, orange
healthy green food = broccoli
fast food = sandwich, hot dog, pizza
bakery goods = sandwich, pizza, donut, cake
something sweet = donut, cake
orange vegetables = carrot
seats = chair, couch, bench, toilet
furniture for a living room = chair, couch, potted plant, dining table, tv
furniture to put a plate on = dining table
bathroom fixtures = toilet, sink
something to flush = toilet
something that shows moving pictures = tv, laptop, cell phone
computers and what belongs to them = laptop, mouse, remote, keyboard
something to point at the screen with = mouse
something to change channels with = remote
something to take pictures with = cell phone
screens = tv, laptop, cell phone
something that rings in the morning = clock, cell phone
things made of paper = book
plants = potted plant
decoration with flowers = vase, potted plant
children's toys = teddy bear, kite, frisbee, sports ball
things a dog would fetch = frisbee, sports ball
things to throw and catch = frisbee, sports ball
winter sports gear = skis, snowboard
something with wheels under the feet = skateboard
street furniture = bench, fire hydrant, parking meter, traffic light, stop sign
something firemen use = fire hydrant
signs for drivers = traffic light, stop sign
where drivers pay = parking meter
somebody = person
men and women = person
hygiene articles = toothbrush, hair drier
women's accessories = handbag, umbrella
luggage = suitcase, backpack, handbag
office supplies = scissors, book, laptop, keyboard, mouse
sharp objects = knife, scissors, fork
hot appliances = oven, toaster, microwave
round fruit = apple, orange
yellow fruit = banana
"""
_HELD_OUT = """
everything i can sit on = chair, couch, bench
something to drink from = cup, wine glass, bottle
things that can fly = airplane, bird, kite
something i can cut with = knife, scissors
two-wheelers = bicycle, motorcycle
pets = dog, cat
something to read = book
something i can type on = keyboard, laptop
a place to wash my hands = sink
something that tells the time = clock
something to keep food cold = refrigerator
things used to heat food = oven, microwave, toaster
something that protects from rain = umbrella
something to sleep on = bed
everything one can watch films on = tv, laptop
farm animals = cow, sheep, horse
wild animals = elephant, bear, zebra, giraffe
things with a steering wheel = car, bus, truck
something to call someone with = cell phone
sweet desserts = cake, donut
vegetables = broccoli, carrot
human beings = person
something to brush teeth with = toothbrush
water vehicles = boat
something to put flowers in = vase
tableware = cup, bowl, fork, knife, spoon, wine glass
something to carry things in = backpack, handbag, suitcase
toys = teddy bear
things that control traffic = traffic light, stop sign
something i can throw = sports ball, frisbee
"""
Use = tuple[str, tuple[str, ...]]


def _read(lines: str) -> tuple[Use, ...]:
    found = []
    for line in lines.strip().splitlines():
        phrase, _, names = line.partition(" = ")
        classes = tuple(name.strip() for name in names.split(","))
        if unknown := set(classes) - set(COCO_CLASSES):
            raise InputError(f"{phrase!r} means unknown classes: {', '.join(sorted(unknown))}")
        found.append((phrase, classes))
    return tuple(found)


LEARNT = _read(_LEARNT)
HELD_OUT = _read(_HELD_OUT)


def fit(knowledge: Knowledge, llm: LanguageModel, encoder: TextEncoder, uses: Iterable[Use] = LEARNT) -> float:
    """Logistic regression of the classes meant on the witnesses of `knowledge`; returns the mean loss, nats.

    The features are centred and brought to one spread first, so that shrinking treats them alike.
    """
    rows = [(knowledge.features(llm, encoder, phrase), classes) for phrase, classes in uses]
    features = torch.cat([values for values, _ in rows])
    wanted = torch.cat([_indicator(classes).to(features) for _, classes in rows])
    middle, spread = features.mean(0), features.std(0).clamp(min=1e-6)
    features = (features - middle) / spread
    with torch.inference_mode(False), torch.enable_grad():
        weight = torch.zeros(features.shape[1], device=features.device, requires_grad=True)
        bias = torch.full((1,), -3.0, device=features.device, requires_grad=True)
        solver = torch.optim.LBFGS([weight, bias], max_iter=_ROUNDS, line_search_fn="strong_wolfe")

        def loss() -> torch.Tensor:
            solver.zero_grad()
            entropy = functional.binary_cross_entropy_with_logits(features @ weight + bias, wanted)
            (entropy + _SHRINK * weight.square().sum()).backward()  # type: ignore[no-untyped-call]
            return entropy

        solver.step(loss)  # type: ignore[no-untyped-call]
        final = loss().item()
    weight, bias = (weight / spread).detach(), bias.detach()
    knowledge.weigh.weight.data.copy_(weight[None])
    knowledge.weigh.bias.data.copy_(bias - middle @ weight)
    return final


def _indicator(classes: Sequence[str]) -> torch.Tensor:
    return torch.tensor([float(name in classes) for name in COCO_CLASSES])
